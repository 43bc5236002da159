// One workflow file: what it names, what the team has of it, and where it can run.

import { Button, CloseButton, Group, Text } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import { mayPass } from '@/api/problem'
import type { WorkflowCheck } from '@/api/types'
import { formatCount } from '@/components/format'
import { Panel } from '@/components/Panel'
import { LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { useCollectionDialog } from '@/features/collections/useCollectionDialog'
import { isAwaited, REPEAT_SECONDS, useWorkflowCheck } from '@/features/workflows/checkWorkflow'
import { DownloadCopy } from '@/features/workflows/DownloadCopy'
import { MachineTable } from '@/features/workflows/MachineTable'
import { ModelTable } from '@/features/workflows/ModelTable'
import {
  listCollectionModels,
  listNamedModels,
  listOtherContent,
  summarizeModels,
} from '@/features/workflows/namedModels'
import { removeWorkflowFile, type WorkflowFile } from '@/features/workflows/workflowFiles'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

export function CheckedFile({ file }: { file: WorkflowFile }) {
  const { data, error, refetch } = useWorkflowCheck(file)
  const onRetry = () => void refetch()
  return (
    <Panel
      title={file.name}
      actions={
        <>
          {data && (
            <Button size="compact-sm" variant="subtle" aria-label={`Check ${file.name} again`} onClick={onRetry}>
              Check again
            </Button>
          )}
          <CloseButton aria-label={`Remove ${file.name}`} onClick={() => removeWorkflowFile(file.id)} />
        </>
      }
    >
      {data && error && <StaleDataNotice error={error} onRetry={onRetry} />}
      {data && <CheckResult file={file} check={data} />}
      {!data && error && <LoadError error={error} {...(mayPass(error) && { onRetry })} />}
      {!data && !error && <Loading label={`Checking ${file.name}`} />}
    </Panel>
  )
}

function CheckResult({ file, check }: { file: WorkflowFile; check: WorkflowCheck }) {
  const { name } = file
  const models = listNamedModels(check)
  const machines = check.machine_list
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Text role="status">{summarizeModels(models)}</Text>
        <Group gap="xs">
          {models.length > 0 && <DownloadCopy file={file} />}
          <SaveAsCollection name={name} check={check} />
        </Group>
      </Group>
      {models.length > 0 && <ModelTable label={`Models of ${name}`} models={models} />}
      {models.length > 0 && machines.length > 0 && (
        <>
          <Group justify="space-between" gap="xs" mt="xs">
            <Text fw={600}>Where it can run</Text>
            <Text size="sm" c="dimmed">
              {isAwaited(check) && `Checked again every ${REPEAT_SECONDS} s · `}
              {machines.filter(({ readiness }) => readiness === 'ready').length} of{' '}
              {formatCount(machines.length, 'machine')} ready
            </Text>
          </Group>
          <MachineTable label={`Machines for ${name}`} machines={machines} />
        </>
      )}
    </>
  )
}

/** Saves the models that the team has as a collection. */
function SaveAsCollection({ name, check }: { name: string; check: WorkflowCheck }) {
  const { may } = usePermissions()
  const { addToCollection, dialog } = useCollectionDialog()
  const models = listCollectionModels(check)
  if (!may('collections_edit') || models.length === 0) return null
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        aria-label={`Save the models of ${name} as collection…`}
        onClick={() =>
          addToCollection(models, {
            suggestedName: name.replace(/\.\w+$/, '').slice(0, MAX_NAME_LENGTH),
            otherContent: listOtherContent(check),
          })
        }
      >
        Save as collection…
      </Button>
      {dialog}
    </>
  )
}
