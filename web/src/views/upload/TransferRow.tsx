// One file on its way: how far it is, what it waits for, and what became of it.

import { ActionIcon, Button, Group, Progress, Text } from '@mantine/core'
import { IconCheck, IconPlayerPause, IconPlayerPlay, IconX } from '@tabler/icons-react'
import { memo } from 'react'
import { done } from '@/parts/notify'
import { bytes, duration, rate } from '@/parts/words'
import { cancel, goOn, goOnAt, goOnReplacing, pause } from '@/uploading/engine'
import { type Item, isGoing } from '@/uploading/state'
import { Conflict } from '@/views/upload/Conflict'
import { ModelLink } from '@/views/upload/ModelLink'
import classes from '@/views/upload/upload.module.css'

export const TransferRow = memo(function TransferRow({ one }: { one: Item }) {
  return (
    <li className={classes.transfer}>
      <Text className={classes.name} title={one.path} fw={500}>
        {one.file.name}
      </Text>
      <Actions one={one} />
      {['working', 'paused', 'waiting'].includes(one.stage) && (
        <Progress
          // A bar that glides costs more than the rest of the page.
          transitionDuration={0}
          className={classes.wide}
          value={(100 * amount(one)) / one.file.size}
          color={one.stage === 'paused' ? 'gray' : 'cyan'}
          aria-label={`Progress of ${one.file.name}`}
        />
      )}
      <Group className={classes.wide} gap="xs" justify="space-between">
        <Words one={one} />
        {one.modelId && <ModelLink id={one.modelId}>Open the model</ModelLink>}
      </Group>
      {one.stage === 'conflict' && one.holder && (
        <div className={classes.wide}>
          <Conflict
            one={one}
            holder={one.holder}
            onFree={(path) => goOnAt(one.id, path)}
            onReplace={() => goOnReplacing(one.id)}
          />
        </div>
      )}
    </li>
  )
})

function Actions({ one: { id, file, stage } }: { one: Item }) {
  const onCancel = () => {
    const cancelled = cancel(id)
    if (cancelled && stage !== 'done') done(`“${file.name}” was cancelled`, cancelled.undo)
  }
  return (
    <Group gap={4} wrap="nowrap">
      {isGoing({ stage } as Item) && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Pause ${file.name}`} onClick={() => pause([id])}>
          <IconPlayerPause size={18} />
        </ActionIcon>
      )}
      {stage === 'paused' && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Go on with ${file.name}`} onClick={() => goOn([id])}>
          <IconPlayerPlay size={18} />
        </ActionIcon>
      )}
      {stage === 'failed' && (
        <Button variant="default" size="compact-sm" onClick={() => goOn([id])}>
          Try again
        </Button>
      )}
      {stage !== 'verifying' && (
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={stage === 'done' ? `Take ${file.name} off the list` : `Cancel ${file.name}`}
          onClick={onCancel}
        >
          <IconX size={18} />
        </ActionIcon>
      )}
    </Group>
  )
}

function Words({ one }: { one: Item }) {
  if (one.stage === 'done') {
    return (
      <Group gap={4} wrap="nowrap">
        <IconCheck size={16} aria-hidden color="var(--mantine-color-teal-text)" />
        <Text size="sm">{outcome(one)}</Text>
      </Group>
    )
  }
  const isWrong = one.stage === 'failed' || one.stage === 'conflict'
  return (
    <Text size="sm" c={isWrong ? 'var(--mantine-color-error)' : 'dimmed'} className={classes.facts}>
      {said(one)}
    </Text>
  )
}

function outcome({ outcome: what, path }: Item): string {
  if (what === 'here already') return `Here already: ${path}`
  return what === 'replaced' ? `Replaced ${path}` : `Registered as ${path}`
}

function said(one: Item): string {
  if (one.stage === 'failed' && one.problem) return `${one.problem.title}. ${one.problem.message}`
  if (one.stage === 'conflict') return `Other bytes are at ${one.path}.`
  if (one.stage === 'verifying') return 'Registered. The registry reads the bytes before anyone may download them…'
  if (one.stage === 'paused') return `Paused at ${bytes(one.sent)} of ${bytes(one.file.size)}`
  if (one.note) return one.note
  if (one.stage === 'waiting') return `Its turn comes: ${bytes(one.file.size)}`
  return activity(one)
}

function activity(one: Item): string {
  const far = `${bytes(amount(one))} of ${bytes(one.file.size)}`
  const left = one.rate > 0 ? `, ${rate(one.rate)}, ${duration((one.file.size - amount(one)) / one.rate)} left` : ''
  switch (one.activity) {
    case 'comparing':
      return `Reading the file, since the registry may have it: ${far}${left}`
    case 'sending':
      return `${far}${left}`
    case 'reading on':
      return `All of it has arrived. Making its hash: ${far}${left}`
    case 'registering':
      return 'Registering…'
    default:
      return 'Starting…'
  }
}

/** What people wait for now: bytes read, or bytes sent. */
function amount({ activity: does, hashed, sent }: Item): number {
  return does === 'comparing' || does === 'reading on' ? hashed : sent
}
