// The record of a model and the actions on it.

import { Alert, Anchor, Group, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconClock, IconPlayerPause } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { formatBytes, formatDateTime } from '@/components/format'
import { Actions } from '@/features/models/details/Actions'
import { FileMetadata } from '@/features/models/details/FileMetadata'
import { Hashes } from '@/features/models/details/Hashes'
import { MachinesOfModel } from '@/features/models/details/MachinesOfModel'
import { ModelHistory } from '@/features/models/details/ModelHistory'
import { Row, Rows, Section } from '@/features/models/details/Section'
import { Status, Verification, VersionMarks } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import type { ReadModel } from '@/features/models/queries'
import { AllTags } from '@/features/models/Tags'
import { Versions } from '@/features/models/versions/Versions'

interface ModelRecordProps {
  read: ReadModel
  /** Whether this is the current record, not a placeholder from a list. */
  isFresh: boolean
  onEdit: () => void
  onClose: () => void
}

export function ModelRecord({ read: { model }, isFresh, onEdit, onClose }: ModelRecordProps) {
  const { may } = usePermissions()
  return (
    <Stack gap="md">
      <Group gap={4} wrap="nowrap" align="flex-start">
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          <bdi>{model.model_path}</bdi>
        </Text>
        <CopyButton text={model.model_path} what="the path" />
      </Group>
      <Group gap="lg">
        <Verification model={model} />
        <Status model={model} />
        <Text size="sm">{formatBytes(model.file_size)}</Text>
        <div className={classes.heading}>
          <VersionMarks model={model} />
        </div>
      </Group>
      <StateNotices model={model} />
      <Actions model={model} isFresh={isFresh} onEdit={onEdit} onClose={onClose} />
      <About model={model} />
      <MachinesOfModel model={model} />
      <Versions model={model} />
      <FileMetadata metadata={model.metadata} />
      <Hashes model={model} />
      {may('audit_read') && <ModelHistory model={model} />}
    </Stack>
  )
}

/** Reasons why machines do not get the model, and what to do. */
function StateNotices({ model }: { model: Model }) {
  return (
    <>
      <NewerVersionNotice model={model} />
      {model.verification === 'failed' && (
        <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title="Verification failed">
          <bdi>{model.verification_error}</bdi> The model cannot be downloaded. Machines that have a correct copy keep
          it. To repair the model, upload the correct file at this path; machines then download it.
        </Alert>
      )}
      {model.verification === 'pending' && (
        <Alert color="yellow" icon={<IconClock aria-hidden />} title="Verification in progress">
          After the file is verified and inspected, the model can be downloaded and machines fetch it.
        </Alert>
      )}
      {model.model_status === 'disabled' && (
        <Alert color="gray" icon={<IconPlayerPause aria-hidden />} title="Disabled">
          Machines remove a disabled model, and the registry keeps it. Enable the model to restore it on its machines.
        </Alert>
      )}
    </>
  )
}

/** What happens to a version that is newer than the one that the record shows. */
function NewerVersionNotice({ model: { version, pending_version: pending } }: { model: Model }) {
  if (!pending || pending.version === version) return null
  if (pending.verification === 'failed') {
    return (
      <Alert
        color="red"
        icon={<IconAlertTriangle aria-hidden />}
        title={`Version ${pending.version} failed verification`}
      >
        <bdi>{pending.verification_error}</bdi> Machines keep version {version}. Upload the correct file as a new
        version.
      </Alert>
    )
  }
  return (
    <Alert color="yellow" icon={<IconClock aria-hidden />} title={`Version ${pending.version} is being verified`}>
      Machines keep version {version} until it is verified.
    </Alert>
  )
}

function About({ model }: { model: Model }) {
  const { created_by: creator } = model
  return (
    <Section title="About">
      {model.description && (
        <Text size="sm" mb="xs" style={{ whiteSpace: 'pre-wrap' }}>
          <bdi>{model.description}</bdi>
        </Text>
      )}
      <Rows>
        <Row name="Type">
          <bdi>{model.model_type}</bdi>
        </Row>
        <Row name="Registered">
          {formatDateTime(model.created_at)} by <bdi>{creator.display_name}</bdi>
          {creator.kind === 'integration' && ' (a key)'}
        </Row>
        <Row name="Changed">{formatDateTime(model.updated_at)}</Row>
        {model.license && (
          <Row name="Licence">
            <bdi>{model.license}</bdi>
          </Row>
        )}
        {model.source_url && (
          <Row name="Source">
            <Anchor href={model.source_url} target="_blank" rel="noopener noreferrer nofollow" size="sm">
              <bdi>{model.source_url}</bdi>
            </Anchor>
          </Row>
        )}
        {model.tags.length > 0 && (
          <Row name="Tags">
            <AllTags tags={model.tags} />
          </Row>
        )}
        {model.required_labels.length > 0 && (
          <Row name="Required labels">
            <AllTags tags={model.required_labels} />
          </Row>
        )}
      </Rows>
    </Section>
  )
}
