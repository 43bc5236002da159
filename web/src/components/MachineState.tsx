// The `machine_state` of a machine, with its own icon shape, and the reason for it.

import { Group, Text } from '@mantine/core'
import {
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconCircleDashed,
  IconClock,
  IconRefresh,
  type TablerIcon,
} from '@tabler/icons-react'
import type { Agent } from '@/api/types'
import { formatAgo, formatBytes, formatCount, formatDuration } from '@/components/format'
import { Sentence } from '@/components/Sentence'

interface Mark {
  icon: TablerIcon
  label: string
  colour: string
}

export const MACHINE_STATE_MARKS: Record<Agent['machine_state'], Mark> = {
  up_to_date: { icon: IconCircleCheckFilled, label: 'Up to date', colour: 'var(--yard-ok)' },
  syncing: { icon: IconRefresh, label: 'Syncing', colour: 'var(--yard-accent-text)' },
  waiting: { icon: IconClock, label: 'Waiting', colour: 'var(--yard-waiting)' },
  problem: { icon: IconAlertTriangleFilled, label: 'Problem', colour: 'var(--yard-problem)' },
  offline: { icon: IconCircleDashed, label: 'Offline', colour: 'var(--yard-offline)' },
}

export function MachineState({ agent }: { agent: Agent }) {
  const { icon: Icon, colour } = MACHINE_STATE_MARKS[agent.machine_state]
  return (
    <Group gap={4} wrap="nowrap" component="span" c={colour}>
      <Icon size={16} aria-hidden style={{ flex: 'none' }} />
      <Text span size="sm">
        {describeMachineState(agent)}
      </Text>
    </Group>
  )
}

/** Why the machine is in its state; with `isCut` one line, and all of it in the tooltip. */
export function MachineReason({ agent: { state_reason }, isCut = false }: { agent: Agent; isCut?: boolean }) {
  if (!state_reason) return null
  return (
    <Text size="sm" c="dimmed" truncate={isCut} title={isCut ? state_reason : undefined}>
      <bdi>
        <Sentence text={state_reason} />
      </bdi>
    </Text>
  )
}

/** `Syncing, 12.4 GB of 31.0 GB, 4 min left`, `Syncing, 3 of 12 models`, `Offline, last heartbeat yesterday`. */
export function describeMachineState(agent: Agent): string {
  const { label } = MACHINE_STATE_MARKS[agent.machine_state]
  if (agent.machine_state === 'offline') {
    return agent.stopped_at
      ? `${label}, stopped ${formatAgo(agent.stopped_at)}`
      : `${label}, last heartbeat ${formatAgo(agent.last_heartbeat)}`
  }
  if (agent.machine_state !== 'syncing') return label
  const left = agent.sync_seconds_left
  const parts = [describeProgress(agent), left !== null && `${formatDuration(left)} left`]
  return [label, ...parts.filter(Boolean)].join(', ')
}

/** How many bytes are done; before the first of them, how many models are; '' if neither is known. */
function describeProgress({
  sync_bytes_done: done,
  sync_bytes_total: total,
  models_ready: ready,
  models_desired: desired,
}: Agent): string {
  if (done && total) return `${formatBytes(done)} of ${formatBytes(total)}`
  return ready < desired ? `${ready.toLocaleString('en')} of ${formatCount(desired, 'model')}` : ''
}
