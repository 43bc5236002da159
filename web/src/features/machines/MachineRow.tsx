// One machine in the list. It is rendered again only when its data has changed.

import { Group, Stack, Text } from '@mantine/core'
import { memo } from 'react'
import type { Agent } from '@/api/types'
import { Ago } from '@/components/Ago'
import { formatBytes } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { MachineReason, MachineState } from '@/components/MachineState'
import { MachineMark } from '@/components/statusMarks'
import { DiskUsage } from '@/features/machines/DiskUsage'
import { Labels } from '@/features/machines/Labels'
import { isReasonInActivity, MachineActivity } from '@/features/machines/MachineActivity'
import classes from '@/features/machines/machines.module.css'

export const MachineRow = memo(function MachineRow({ agent }: { agent: Agent }) {
  return (
    <li className={classes.row}>
      <Stack gap={6}>
        <AnchorLink
          to="/machines"
          search={(search: object) => ({ ...search, machine: agent.agent_id })}
          resetScroll={false}
          className={classes.name}
          fw={600}
          c="inherit"
        >
          <bdi>{agent.agent_id}</bdi>
        </AnchorLink>
        <Group gap="sm" className={classes.above} w="fit-content">
          <MachineState agent={agent} />
          {agent.agent_status === 'busy' && <MachineMark mark="busy" />}
          {agent.paused && <MachineMark mark="paused" />}
        </Group>
        {!isReasonInActivity(agent) && (
          <div className={classes.above}>
            <MachineReason agent={agent} isCut />
          </div>
        )}
        <Labels agent={agent} />
      </Stack>
      <Stack gap={2}>
        <Text size="sm">{describeReady(agent)}</Text>
        {agent.bytes_held > 0 && (
          <Text size="sm" c="dimmed">
            {formatBytes(agent.bytes_held)} stored
          </Text>
        )}
      </Stack>
      <DiskUsage agent={agent} />
      <div className={classes.wide}>
        <MachineActivity agent={agent} />
      </div>
      <Stack gap={2} className={classes.wide}>
        <Text size="sm">
          Heartbeat <Ago time={agent.last_heartbeat} />
        </Text>
        <Text size="xs" c="dimmed">
          {formatVersions(agent)}
        </Text>
      </Stack>
    </li>
  )
})

export function describeReady(agent: Agent): string {
  if (agent.models_desired === 0) return 'No models desired'
  const unloaded =
    agent.models_unloaded > 0 ? `, ${agent.models_unloaded.toLocaleString('en')} not loaded by ComfyUI` : ''
  return `${agent.models_ready.toLocaleString('en')} of ${agent.models_desired.toLocaleString('en')} ready${unloaded}`
}

/** `build` tells builds of one version apart. */
export function formatVersions(agent: Agent, build: string | null = null): string {
  const comfyui = agent.comfyui_version && `ComfyUI ${agent.comfyui_version}`
  return [
    agent.agent_version && `modelyard ${agent.agent_version}${build ? ` (${build})` : ''}`,
    comfyui,
    agent.platform_arch,
  ]
    .filter(Boolean)
    .join(' · ')
}
