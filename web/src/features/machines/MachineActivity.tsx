// The current activity of a machine, and the reason that it reports while it waits.

import { Group, Progress, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconHourglass } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Agent } from '@/api/types'
import { formatCount } from '@/components/format'
import { getTextColour } from '@/components/statusMarks'

const PHASES: Record<string, string> = {
  scanning: 'Scanning the disk',
  planning: 'Planning',
  downloading: 'Downloading',
  verifying: 'Verifying',
  placing: 'Placing',
}

export function MachineActivity({ agent }: { agent: Agent }) {
  const { machine_state, state_reason } = agent
  if (machine_state === 'offline') return <Text size="sm">{state_reason}</Text>
  const reason = agent.waiting_for ?? (isWaiting(agent) ? state_reason : null)
  const removal = describeRemoval(agent)
  return (
    <Stack gap={4}>
      <Phase agent={agent} />
      {removal && (
        <Note icon={<IconAlertTriangle size={16} color={getTextColour('orange')} aria-hidden />}>{removal}</Note>
      )}
      {reason && <Note icon={<IconHourglass size={16} color={getTextColour('gray')} aria-hidden />}>{reason}</Note>}
    </Stack>
  )
}

/** What the registry gives as the reason of a machine that has no other problem. */
export function describeRemoval({ removal_waiting }: Agent): string | undefined {
  return removal_waiting > 0
    ? `The removal of ${formatCount(removal_waiting, 'file')} waits for approval by an admin.`
    : undefined
}

/** A paused machine has its own mark. */
function isWaiting({ machine_state, paused }: Agent): boolean {
  return machine_state === 'waiting' && !paused
}

function Phase({ agent }: { agent: Agent }) {
  const phase = PHASES[agent.sync_phase]
  if (!phase) return null
  const percent = agent.sync_percent
  return (
    <Stack gap={4}>
      <Group gap="xs" justify="space-between" wrap="nowrap">
        <Text size="sm" truncate title={agent.sync_detail ?? undefined}>
          {phase} {agent.sync_detail && <bdi>{agent.sync_detail}</bdi>}
        </Text>
        {percent !== null && (
          <Text size="sm" style={{ whiteSpace: 'nowrap' }}>
            {percent} %
          </Text>
        )}
      </Group>
      {percent !== null && <Progress value={percent} size="sm" aria-label={`${agent.agent_id}: ${phase}`} />}
    </Stack>
  )
}

function Note({ icon, children }: { icon: ReactNode; children: string }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <span style={{ flexShrink: 0, marginTop: 2 }}>{icon}</span>
      <Text size="sm" component="bdi" lineClamp={4} title={children}>
        {children}
      </Text>
    </Group>
  )
}
