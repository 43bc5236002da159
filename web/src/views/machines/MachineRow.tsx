// One machine in the list. It is drawn anew only when something about it has changed.

import { Group, Stack, Text } from '@mantine/core'
import { memo } from 'react'
import type { Agent } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { AnchorLink } from '@/parts/links'
import { StatusMark } from '@/parts/marks'
import { bytes } from '@/parts/words'
import { Disk } from '@/views/machines/Disk'
import { Doing } from '@/views/machines/Doing'
import { Labels } from '@/views/machines/Labels'
import classes from '@/views/machines/machines.module.css'

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
          <StatusMark status={agent.agent_status} />
          {agent.paused && <StatusMark status="paused" />}
        </Group>
        <Labels agent={agent} />
      </Stack>
      <Stack gap={2}>
        <Text size="sm">{readyWords(agent)}</Text>
        <Text size="sm" c="dimmed">
          {bytes(agent.bytes_held)} here
        </Text>
      </Stack>
      <Disk agent={agent} />
      <div className={classes.wide}>
        <Doing agent={agent} />
      </div>
      <Stack gap={2} className={classes.wide}>
        <Text size="sm">
          Heard <Ago time={agent.last_heartbeat} />
        </Text>
        <Text size="xs" c="dimmed">
          {versions(agent)}
        </Text>
      </Stack>
    </li>
  )
})

export function readyWords(agent: Agent): string {
  if (agent.models_wanted === 0) return 'No models wanted'
  return `${agent.models_ready.toLocaleString('en')} of ${agent.models_wanted.toLocaleString('en')} ready`
}

export function versions(agent: Agent): string {
  const comfyui = agent.comfyui_version && `ComfyUI ${agent.comfyui_version}`
  return [agent.agent_version && `modelyard ${agent.agent_version}`, comfyui, agent.platform_arch]
    .filter(Boolean)
    .join(' · ')
}
