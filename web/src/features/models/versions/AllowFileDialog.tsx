// Shows what the pickle scan found in a version's file, and lets an admin allow it with a reason.

import { Alert, Button, Code, Group, List, Loader, Modal, Stack, Text, TextInput } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import type { Model, ModelVersion, VersionFindings } from '@/api/types'
import { useTeam } from '@/api/useTeam'
import { LoadError } from '@/components/placeholders'
import { useLastDefined } from '@/components/useLastDefined'
import { allowFile, runVersionAction } from '@/features/models/versions/actions'

const MAX_REASON_LENGTH = 1000

interface AllowFileDialogProps {
  model: Model
  /** The version whose file may be allowed; undefined while the dialog is closed. */
  version: ModelVersion | undefined
  onClose: () => void
}

export function AllowFileDialog({ model, version, onClose }: AllowFileDialogProps) {
  const shown = useLastDefined(version)
  return (
    <Modal opened={version !== undefined} onClose={onClose} title="Allow this file" size="lg">
      {shown && <Content key={shown.version} model={model} version={shown} onClose={onClose} />}
    </Modal>
  )
}

function Content({ model, version, onClose }: AllowFileDialogProps & { version: ModelVersion }) {
  const { data: team } = useTeam()
  const findings = useQuery({
    queryKey: ['models', 'findings', model.id, version.version],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models/{model_id}/versions/{version}/findings', {
          params: { path: { model_id: model.id, version: version.version } },
          signal,
        }),
      ),
  })
  if (findings.isError) return <LoadError error={findings.error} onRetry={() => void findings.refetch()} />
  if (!findings.data || !team) return <Loader size="sm" role="status" aria-label="Loading the findings" />
  return (
    <Stack>
      <Findings findings={findings.data} />
      {team.pickle_policy === 'trusted' ? (
        <ReasonForm model={model} findings={findings.data} onClose={onClose} />
      ) : (
        <Text>
          The team's settings permit no exceptions for single files. To allow this one, change the setting “Pickle
          files” first.
        </Text>
      )}
    </Stack>
  )
}

function Findings({ findings }: { findings: VersionFindings }) {
  const unexpected = findings.import_list.filter((each) => !each.is_expected)
  return (
    <>
      <Text>
        <bdi>{findings.finding}</bdi>
      </Text>
      {unexpected.length > 0 && (
        <div>
          <Text fw={600} size="sm">
            It imports, beside what files of tensors need
          </Text>
          <List size="sm">
            {unexpected.map(({ name }) => (
              <List.Item key={name}>
                <Code>
                  <bdi>{name}</bdi>
                </Code>
              </List.Item>
            ))}
          </List>
        </div>
      )}
      {!findings.is_complete && (
        <Text fw={600} size="sm">
          This list is not complete: the file may import other names.
        </Text>
      )}
      <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
        {findings.file_hash}
      </Text>
    </>
  )
}

interface ReasonFormProps {
  model: Model
  findings: VersionFindings
  onClose: () => void
}

function ReasonForm({ model, findings, onClose }: ReasonFormProps) {
  const [reason, setReason] = useState(findings.trusted?.reason ?? '')
  const [isBusy, setBusy] = useState(false)
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const isDone = await runVersionAction(() => allowFile(model, findings.file_hash, reason.trim()))
    setBusy(false)
    if (isDone) onClose()
  }
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack>
        <Alert color="yellow" icon={<IconAlertTriangle aria-hidden />}>
          Loading this file can run code on machines, and a hostile file can hide what it imports. Allow it only if you
          know where it comes from. Other files stay refused.
        </Alert>
        <TextInput
          label="Reason"
          description="It is in the audit log, with your name and the hash of the file"
          required
          maxLength={MAX_REASON_LENGTH}
          data-autofocus
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" color="red" loading={isBusy} disabled={!reason.trim()}>
            Allow this file
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
