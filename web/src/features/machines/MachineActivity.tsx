// The current activity of a machine, and the reason that it reports while it waits.

import { Group, Progress, Stack, Text } from '@mantine/core'
import { IconHourglass } from '@tabler/icons-react'
import type { Agent } from '@/api/types'
import { Sentence } from '@/components/Sentence'
import { getTextColour } from '@/components/statusMarks'

const PHASES: Record<string, string> = {
  scanning: 'Scanning the disk',
  planning: 'Planning',
  downloading: 'Downloading',
  verifying: 'Verifying',
  placing: 'Placing',
}

export function MachineActivity({ agent }: { agent: Agent }) {
  if (agent.machine_state === 'offline') {
    return (
      <Text size="sm" component="bdi">
        <Sentence text={agent.state_reason ?? ''} />
      </Text>
    )
  }
  const reason = findWait(agent)
  return (
    <Stack gap={4}>
      <Phase agent={agent} />
      {reason && <Note>{reason}</Note>}
    </Stack>
  )
}

/**
 * Return what the machine waits for. A paused one has its own mark, and what it reported is of before. While removals
 * are held, it reports them, or else its problem: both are the reason for its state.
 */
function findWait({ machine_state, state_reason, paused, removal_token, waiting_for }: Agent): string | null {
  if (paused || removal_token !== null) return null
  return waiting_for ?? (machine_state === 'waiting' ? state_reason : null)
}

/** Return whether the activity of the machine, which is beside its state, says the reason for it already. */
export function isReasonInActivity(agent: Agent): boolean {
  const { machine_state, state_reason } = agent
  return machine_state === 'syncing' || machine_state === 'offline' || agent.paused || state_reason === findWait(agent)
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

function Note({ children }: { children: string }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <IconHourglass size={16} color={getTextColour('gray')} style={{ flexShrink: 0, marginTop: 2 }} aria-hidden />
      <Text size="sm" component="bdi" lineClamp={4} title={children}>
        <Sentence text={children} />
      </Text>
    </Group>
  )
}
