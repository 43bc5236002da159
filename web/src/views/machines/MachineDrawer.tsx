// Everything about one machine, beside the list: what it is, what can be told to it, and each model on it.

import { Drawer, Group, Stack, Text } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { Agent } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { StatusMark } from '@/parts/marks'
import { Empty, Failed, Loading } from '@/parts/states'
import { bytes, dateAndTime } from '@/parts/words'
import { Disk } from '@/views/machines/Disk'
import { Doing } from '@/views/machines/Doing'
import type { Fleet } from '@/views/machines/fleet'
import { Labels } from '@/views/machines/Labels'
import { LabelsForm } from '@/views/machines/LabelsForm'
import { MachineActions } from '@/views/machines/MachineActions'
import { MachineModels } from '@/views/machines/MachineModels'
import { readyWords, versions } from '@/views/machines/MachineRow'
import classes from '@/views/machines/machines.module.css'

export function MachineDrawer({ id, fleet }: { id: string | undefined; fleet: Fleet }) {
  const navigate = useNavigate()
  const close = () =>
    void navigate({
      to: '/machines',
      search: ({ machine: _machine, state: _state, page: _page, ...rest }: Record<string, unknown>) => rest,
      resetScroll: false,
    })
  return (
    <Drawer
      opened={id !== undefined}
      onClose={close}
      position="right"
      size="xl"
      title={<bdi>{id}</bdi>}
      closeButtonProps={{ 'aria-label': 'Close' }}
      styles={{ title: { fontWeight: 600, fontSize: 'var(--mantine-font-size-lg)', overflowWrap: 'anywhere' } }}
    >
      {id !== undefined && <Content id={id} fleet={fleet} onGone={close} />}
    </Drawer>
  )
}

function Content({ id, fleet, onGone }: { id: string; fleet: Fleet; onGone: () => void }) {
  const { may } = usePermissions()
  const { state, page } = useSearch({ from: '/inside/machines' })
  const agent = fleet.agents?.find((one) => one.agent_id === id)
  if (!fleet.agents && fleet.error) return <Failed error={fleet.error} again={fleet.again} />
  if (!fleet.agents) return <Loading what="Loading the machine" />
  if (!agent) return <Empty title="There is no such machine">It may have been forgotten, or it has another name.</Empty>
  return (
    <Stack gap="lg">
      <Group gap="md">
        <StatusMark status={agent.agent_status} />
        {agent.paused && <StatusMark status="paused" />}
      </Group>
      {may('manage machines') && <MachineActions agent={agent} onGone={onGone} />}
      <Doing agent={agent} />
      <Facts agent={agent} />
      {may('manage machines') ? (
        <LabelsForm key={agent.central_labels.join()} agent={agent} />
      ) : (
        <Labels agent={agent} />
      )}
      <MachineModels key={agent.agent_id} agent={agent} state={state} page={page ?? 1} />
    </Stack>
  )
}

function Facts({ agent }: { agent: Agent }) {
  return (
    <dl className={classes.facts}>
      <dt>Models</dt>
      <dd>
        {readyWords(agent)}, {bytes(agent.bytes_held)}
      </dd>
      <dt>Disk</dt>
      <dd>
        <Disk agent={agent} />
      </dd>
      <dt>Last heard</dt>
      <dd>
        <Ago time={agent.last_heartbeat} />
      </dd>
      <dt>First heard</dt>
      <dd>{dateAndTime(agent.connected_at)}</dd>
      <dt>Versions</dt>
      <dd>
        <Text size="sm">{versions(agent) || 'Unknown'}</Text>
      </dd>
    </dl>
  )
}
