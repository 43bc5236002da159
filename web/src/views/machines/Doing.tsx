// What a machine does now, and why it waits, in its own words.

import { Group, Progress, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconHourglass } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Agent } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { readable } from '@/parts/marks'
import { count } from '@/parts/words'

const PHASES: Record<string, string> = {
  scanning: 'Looks at its disk',
  planning: 'Plans',
  downloading: 'Fetches',
  verifying: 'Checks',
  placing: 'Puts in place',
}

export function Doing({ agent }: { agent: Agent }) {
  if (agent.agent_status === 'unhealthy') return <Silent agent={agent} />
  return (
    <Stack gap={4}>
      <Phase agent={agent} />
      {agent.removal_waiting > 0 && (
        <Remark icon={<IconAlertTriangle size={16} color={readable('orange')} aria-hidden />}>
          The removal of {count(agent.removal_waiting, 'file')} is held until an admin releases it.
        </Remark>
      )}
      {agent.waiting_for && (
        <Remark icon={<IconHourglass size={16} color={readable('gray')} aria-hidden />}>{agent.waiting_for}</Remark>
      )}
    </Stack>
  )
}

function Silent({ agent }: { agent: Agent }) {
  return (
    <Text size="sm">
      Last heard of <Ago time={agent.last_heartbeat} />. It may be off, or its agent may not run: modelyard agent status
      tells, there.
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

function Remark({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <span style={{ flexShrink: 0, marginTop: 2 }}>{icon}</span>
      <Text size="sm" component="bdi" lineClamp={4}>
        {children}
      </Text>
    </Group>
  )
}
