// What the registry knows of a model, and what may be done with it.

import { Alert, Anchor, Group, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconClock, IconPlayerPause } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyButton } from '@/parts/copying'
import { bytes, dateAndTime } from '@/parts/words'
import type { ReadModel } from '@/views/models/asking'
import { Actions } from '@/views/models/details/Actions'
import { Facts } from '@/views/models/details/Facts'
import { History } from '@/views/models/details/History'
import { MachinesOfModel } from '@/views/models/details/MachinesOfModel'
import { Row, Rows, Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'
import { Tags } from '@/views/models/Row'
import { Status, Verification } from '@/views/models/State'

interface Shown {
  read: ReadModel
  /** Whether this is the record as it is now, not what a list said of it. */
  isFresh: boolean
  onEdit: () => void
  onClose: () => void
}

export function Record({ read: { model }, isFresh, onEdit, onClose }: Shown) {
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
        <Text size="sm">{bytes(model.file_size)}</Text>
      </Group>
      <Notes model={model} />
      <Actions model={model} isFresh={isFresh} onEdit={onEdit} onClose={onClose} />
      <About model={model} />
      <MachinesOfModel model={model} />
      <Facts metadata={model.metadata} />
      <Section title="Hashes">
        <Hash text={model.file_hash} what="SHA-256" />
        {model.blake3_hash && <Hash text={model.blake3_hash} what="BLAKE3" />}
      </Section>
      {may('read history') && <History model={model} />}
    </Stack>
  )
}

/** What keeps the model from being on its machines, and what can be done about it. */
function Notes({ model }: { model: Model }) {
  return (
    <>
      {model.verification === 'failed' && (
        <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title="The registry refuses these bytes">
          <bdi>{model.verification_error}</bdi> Nobody can download them. Machines that have a good copy keep it. Upload
          the right file again under this path: the model heals, and its machines go on.
        </Alert>
      )}
      {model.verification === 'pending' && (
        <Alert color="yellow" icon={<IconClock aria-hidden />} title="The registry is reading these bytes">
          Once each one is checked, machines fetch the model and it can be downloaded.
        </Alert>
      )}
      {model.model_status === 'disabled' && (
        <Alert color="gray" icon={<IconPlayerPause aria-hidden />} title="Disabled">
          A disabled model leaves every machine and stays in the registry. Enable it to have it back everywhere.
        </Alert>
      )}
    </>
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
          {dateAndTime(model.created_at)} by <bdi>{creator.display_name}</bdi>
          {creator.kind === 'integration' && ' (a key)'}
        </Row>
        <Row name="Changed">{dateAndTime(model.updated_at)}</Row>
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
          <Row name="Only machines with">
            <AllTags tags={model.required_labels} />
          </Row>
        )}
      </Rows>
    </Section>
  )
}

export function AllTags({ tags }: { tags: string[] }) {
  return (
    <div className={classes.all}>
      <Tags tags={tags} />
    </div>
  )
}

function Hash({ text, what }: { text: string; what: string }) {
  const [, digest = text] = text.split(':')
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start" mb={4}>
      <Text size="sm" c="dimmed" w={72} style={{ flex: 'none' }}>
        {what}
      </Text>
      <span className={classes.hash}>{digest}</span>
      <CopyButton text={text} what={what} />
    </Group>
  )
}
