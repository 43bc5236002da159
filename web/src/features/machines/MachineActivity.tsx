// The current activity of a machine, and the reason that it reports while it waits.

import { Group, Progress, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconHourglass } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Agent } from '@/api/types'
import { Ago } from '@/components/Ago'
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
  if (agent.machine_state === 'offline') return <Offline agent={agent} />
  const reason = agent.waiting_for ?? (isWaiting(agent) ? agent.state_reason : null)
  return (
    <Stack gap={4}>
      <Phase agent={agent} />
      {agent.removal_waiting > 0 && (
        <Note icon={<IconAlertTriangle size={16} color={getTextColour('orange')} aria-hidden />}>
          The removal of {formatCount(agent.removal_waiting, 'file')} is held until an admin approves it.
        </Note>
      )}
      {reason && <Note icon={<IconHourglass size={16} color={getTextColour('gray')} aria-hidden />}>{reason}</Note>}
    </Stack>
  )
}

/** A paused machine has its own mark. */
function isWaiting({ machine_state, paused }: Agent): boolean {
  return machine_state === 'waiting' && !paused
}

function Offline({ agent }: { agent: Agent }) {
  if (agent.stopped_at) {
    return (
      <Text size="sm">
        Its agent was stopped <Ago time={agent.stopped_at} />. Run modelyard agent run on the machine to start it.
      </Text>
    )
  }
  return (
    <Text size="sm">
      Last heartbeat <Ago time={agent.last_heartbeat} />. The machine may be off, or its agent may not be running. Run
      modelyard agent status on the machine to check.
    </Text>
  )
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

function Note({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <span style={{ flexShrink: 0, marginTop: 2 }}>{icon}</span>
      <Text size="sm" component="bdi" lineClamp={4}>
        {children}
      </Text>
    </Group>
  )
}
