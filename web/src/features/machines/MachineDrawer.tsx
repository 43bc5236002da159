// Details of one machine beside the list: status, actions, facts and models.

import { Drawer, Group, Stack, Text } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { Agent } from '@/api/types'
import { Ago } from '@/components/Ago'
import { formatBytes, formatDateTime } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { MachineReason, MachineState } from '@/components/MachineState'
import { Empty, LoadError, Loading } from '@/components/placeholders'
import { MachineMark } from '@/components/statusMarks'
import { BudgetForm } from '@/features/machines/BudgetForm'
import { DiskUsage } from '@/features/machines/DiskUsage'
import { Labels } from '@/features/machines/Labels'
import { LabelsForm } from '@/features/machines/LabelsForm'
import { MachineActions } from '@/features/machines/MachineActions'
import { isReasonInActivity, MachineActivity } from '@/features/machines/MachineActivity'
import { MachineModels } from '@/features/machines/MachineModels'
import { describeReady, formatVersions } from '@/features/machines/MachineRow'
import classes from '@/features/machines/machines.module.css'
import type { MachineList } from '@/features/machines/useMachines'

export function MachineDrawer({ id, fleet }: { id: string | undefined; fleet: MachineList }) {
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

function Content({ id, fleet, onGone }: { id: string; fleet: MachineList; onGone: () => void }) {
  const { may } = usePermissions()
  const { state, page } = useSearch({ from: '/inside/machines' })
  const agent = fleet.agents?.find((one) => one.agent_id === id)
  if (!fleet.agents && fleet.error) return <LoadError error={fleet.error} onRetry={fleet.retry} />
  if (!fleet.agents) return <Loading label="Loading the machine" />
  if (!agent) return <Empty title="Machine not found">It may have been removed or renamed.</Empty>
  return (
    <Stack gap="lg">
      <Group gap="md">
        <div>
          <MachineState agent={agent} />
          {!isReasonInActivity(agent) && <MachineReason agent={agent} />}
        </div>
        {agent.agent_status === 'busy' && <MachineMark mark="busy" />}
        {agent.paused && <MachineMark mark="paused" />}
      </Group>
      {may('agents_manage') && <MachineActions agent={agent} onGone={onGone} />}
      <MachineActivity agent={agent} />
      <Facts agent={agent} />
      {may('agents_manage') ? <LabelsForm key={agent.central_labels.join()} agent={agent} /> : <Labels agent={agent} />}
      {may('agents_manage') && <BudgetForm key={`${id} ${agent.disk_budget_bytes}`} agent={agent} />}
      <MachineModels key={agent.agent_id} agent={agent} state={state} page={page ?? 1} />
    </Stack>
  )
}

function Facts({ agent }: { agent: Agent }) {
  return (
    <dl className={classes.facts}>
      <dt>Models</dt>
      <dd>
        {describeReady(agent)}
        {agent.bytes_held > 0 && `, ${formatBytes(agent.bytes_held)}`}
        {agent.models_evicted > 0 && `, ${agent.models_evicted} evicted`}
      </dd>
      <dt>Disk</dt>
      <dd>
        <DiskUsage agent={agent} />
        <AnchorLink to="/models" search={{ q: `machine:${agent.agent_id} unused:90d`, sort: '-file_size' }} size="sm">
          Models unused for 90 days
        </AnchorLink>
      </dd>
      <dt>Last heartbeat</dt>
      <dd>
        <Ago time={agent.last_heartbeat} />
      </dd>
      <dt>First connected</dt>
      <dd>{formatDateTime(agent.connected_at)}</dd>
      {agent.key_prefix && (
        <>
          <dt>Key</dt>
          <dd>
            <bdi>{agent.key_name}</bdi>, {agent.key_prefix}…
          </dd>
        </>
      )}
      <dt>Versions</dt>
      <dd>
        <Text size="sm">{formatVersions(agent, agent.agent_build) || 'Unknown'}</Text>
      </dd>
    </dl>
  )
}
