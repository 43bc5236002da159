// One upload: progress, status and result.

import { ActionIcon, Button, Group, Progress, Text } from '@mantine/core'
import { IconCheck, IconPlayerPause, IconPlayerPlay, IconX } from '@tabler/icons-react'
import { memo } from 'react'
import { formatBytes, formatDuration, formatRate } from '@/components/format'
import { notifyWithUndo } from '@/components/notify'
import { type Item, isActive } from '@/features/upload/engine/items'
import { cancel, pause, resume, resumeAsNextVersion, resumeAt } from '@/features/upload/engine/queue'
import { ModelLink } from '@/features/upload/ModelLink'
import { PathConflict } from '@/features/upload/PathConflict'
import classes from '@/features/upload/upload.module.css'

export const TransferRow = memo(function TransferRow({ one }: { one: Item }) {
  return (
    <li className={classes.transfer}>
      <Text className={classes.name} title={one.path} fw={500}>
        {one.file.name}
      </Text>
      <Actions one={one} />
      {['working', 'paused', 'waiting'].includes(one.stage) && (
        <Progress
          // An animated bar costs more rendering time than the rest of the page.
          transitionDuration={0}
          className={classes.wide}
          value={(100 * getProgress(one)) / one.file.size}
          color={one.stage === 'paused' ? 'gray' : 'cyan'}
          aria-label={`Progress of ${one.file.name}`}
        />
      )}
      <Group className={classes.wide} gap="xs" justify="space-between">
        <StatusLine one={one} />
        {one.modelId && <ModelLink id={one.modelId}>Open model</ModelLink>}
      </Group>
      {one.stage === 'conflict' && one.existing && (
        <div className={classes.wide}>
          <PathConflict
            one={one}
            holder={one.existing}
            onFree={(path) => resumeAt(one.id, path)}
            onNextVersion={() => resumeAsNextVersion(one.id)}
          />
        </div>
      )}
    </li>
  )
})

function Actions({ one: { id, file, stage } }: { one: Item }) {
  const onCancel = () => {
    const cancelled = cancel(id)
    if (cancelled && stage !== 'done') notifyWithUndo(`“${file.name}” was cancelled`, cancelled.undo)
  }
  return (
    <Group gap={4} wrap="nowrap">
      {isActive({ stage } as Item) && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Pause ${file.name}`} onClick={() => pause([id])}>
          <IconPlayerPause size={18} />
        </ActionIcon>
      )}
      {stage === 'paused' && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Resume ${file.name}`} onClick={() => resume([id])}>
          <IconPlayerPlay size={18} />
        </ActionIcon>
      )}
      {stage === 'failed' && (
        <Button variant="default" size="compact-sm" onClick={() => resume([id])}>
          Retry
        </Button>
      )}
      {stage !== 'verifying' && (
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={stage === 'done' ? `Remove ${file.name} from the list` : `Cancel ${file.name}`}
          onClick={onCancel}
        >
          <IconX size={18} />
        </ActionIcon>
      )}
    </Group>
  )
}

function StatusLine({ one }: { one: Item }) {
  if (one.stage === 'done') {
    return (
      <Group gap={4} wrap="nowrap">
        <IconCheck size={16} aria-hidden color="var(--mantine-color-teal-text)" />
        <Text size="sm">{describeOutcome(one)}</Text>
      </Group>
    )
  }
  const isWrong = one.stage === 'failed' || one.stage === 'conflict'
  return (
    <Text size="sm" c={isWrong ? 'var(--mantine-color-error)' : 'dimmed'} className={classes.facts}>
      {describeStatus(one)}
    </Text>
  )
}

function describeOutcome({ outcome, path, version, existing, isSuperseded }: Item): string {
  if (outcome === 'new version') {
    const overtaken = isSuperseded ? ', which another version superseded' : ''
    return `Uploaded as version ${version} of ${path}${overtaken}`
  }
  if (outcome !== 'here already') return `Registered as ${path}`
  const isOther = version !== undefined && existing && version !== existing.version
  return isOther ? `Already in the registry as version ${version} of ${path}` : `Already in the registry: ${path}`
}

function describeConflict({ path, isOvertaken, newest }: Item): string {
  if (!isOvertaken) return `A different file is at ${path}.`
  if (!newest) return `Another person uploaded a new version of ${path} meanwhile.`
  return `${newest.created_by.display_name} uploaded version ${newest.version} of ${path} meanwhile.`
}

function describeStatus(one: Item): string {
  if (one.stage === 'failed' && one.problem) return `${one.problem.title}. ${one.problem.message}`
  if (one.stage === 'conflict') return describeConflict(one)
  if (one.stage === 'verifying') return 'Registered. The registry verifies the file before anyone can download it…'
  if (one.stage === 'paused') return `Paused at ${formatBytes(one.sent)} of ${formatBytes(one.file.size)}`
  if (one.note) return one.note
  if (one.stage === 'waiting') return `Queued: ${formatBytes(one.file.size)}`
  return describeActivity(one)
}

function describeActivity(one: Item): string {
  const far = `${formatBytes(getProgress(one))} of ${formatBytes(one.file.size)}`
  const left =
    one.rate > 0
      ? `, ${formatRate(one.rate)}, ${formatDuration((one.file.size - getProgress(one)) / one.rate)} left`
      : ''
  switch (one.activity) {
    case 'comparing':
      return `Hashing the file, because the registry may already have it: ${far}${left}`
    case 'sending':
      return `${far}${left}`
    case 'reading on':
      return `Upload complete. Hashing the file: ${far}${left}`
    case 'registering':
      return 'Registering…'
    default:
      return 'Starting…'
  }
}

/** Return the progress of the current step: hashed or sent bytes. */
function getProgress({ activity: does, hashed, sent }: Item): number {
  return does === 'comparing' || does === 'reading on' ? hashed : sent
}
