// The desired models of a machine with their live states.

import { ActionIcon, Group, NativeSelect, Pagination, Stack, Text, Title } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { liveQueryOptions } from '@/api/polling'
import type { Agent, AgentModel } from '@/api/types'
import { formatCount } from '@/components/format'
import { isInProgress } from '@/components/isInProgress'
import { AnchorLink } from '@/components/links'
import { ModelOnMachine } from '@/components/ModelOnMachine'
import { LoadError, Loading } from '@/components/placeholders'
import { useChangeSearch } from '@/features/machines/Filters'
import classes from '@/features/machines/machines.module.css'
import type { StateFilter } from '@/features/machines/search'
import { unassignWithUndo } from '@/features/models/places/assignments'
import { MAX_COUNTED } from '@/generated/paging'
import { REPLICA_STATES } from '@/generated/states'

const PER_PAGE = 50
const STATE_OPTIONS = [{ value: '', label: 'All models' }, { value: 'missing', label: 'Not ready' }, ...REPLICA_STATES]

interface MachineModelsProps {
  agent: Agent
  state: StateFilter | undefined
  page: number
}

export function MachineModels({ agent, state, page }: MachineModelsProps) {
  const change = useChangeSearch()
  const { data, error, refetch } = useModels(agent, state, page)
  const total = data?.page_meta.total_count ?? 0
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Title order={3} size="h4">
          Models
        </Title>
        <NativeSelect
          aria-label="Which models"
          value={state ?? ''}
          data={STATE_OPTIONS}
          onChange={(event) => change({ state: event.currentTarget.value, page: undefined })}
        />
      </Group>
      {!data &&
        (error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading models" />)}
      {data && (
        <>
          <Text size="sm" c="dimmed" role="status">
            {total >= MAX_COUNTED ? `More than ${formatCount(MAX_COUNTED, 'model')}` : formatCount(total, 'model')}
          </Text>
          {data.agent_model_list.length > 0 && <Table models={data.agent_model_list} agent={agent} />}
          {total > PER_PAGE && (
            <Pagination
              total={Math.ceil(total / PER_PAGE)}
              value={page}
              onChange={(chosen) => change({ page: chosen })}
              size="sm"
              getControlProps={(control) => ({ 'aria-label': `${control} page` })}
              getItemProps={(item) => ({ 'aria-label': `Page ${item}` })}
            />
          )}
        </>
      )}
    </Stack>
  )
}

/** Query a page of models: polled while they change, otherwise refreshed when the machine's numbers change. */
function useModels(agent: Agent, state: StateFilter | undefined, current_page: number) {
  const refreshKey = [
    ...[agent.models_ready, agent.models_desired, agent.sync_phase],
    ...[agent.waiting_for, agent.machine_state, agent.paused],
  ]
  const query = {
    current_page,
    per_page: PER_PAGE,
    ...(state === 'missing' ? { missing: true } : state && { state }),
  }
  return useQuery({
    queryKey: ['fleet models', agent.agent_id, query, refreshKey],
    queryFn: () =>
      unwrap(api.GET('/api/v1/agents/{agent_id}/models', { params: { path: { agent_id: agent.agent_id }, query } })),
    placeholderData: keepPreviousData,
    ...liveQueryOptions,
    refetchInterval: ({ state }) =>
      isChanging(agent, state.data?.agent_model_list ?? []) && liveQueryOptions.refetchInterval(),
  })
}

/** Return whether replicas change by themselves: a machine with a problem may still download other models. */
function isChanging(agent: Agent, models: AgentModel[]): boolean {
  if (agent.machine_state === 'offline') return false
  return agent.agent_status === 'syncing' || agent.machine_state === 'syncing' || models.some(isInProgress)
}

function Table({ models, agent }: { models: AgentModel[]; agent: Agent }) {
  return (
    <table className={classes.models} aria-label={`Models on ${agent.agent_id}`}>
      <thead>
        <tr>
          <th scope="col">Model</th>
          <th scope="col">State</th>
          <th scope="col">Why it is there</th>
        </tr>
      </thead>
      <tbody>
        {models.map((model) => (
          <tr key={model.model_id}>
            <th scope="row">
              <AnchorLink to="/models" search={{ model: model.model_id }} size="sm">
                <bdi>{model.display_name}</bdi>
              </AnchorLink>
              <Text size="xs" c="dimmed">
                <bdi>{model.model_path}</bdi>
              </Text>
            </th>
            <td>
              <ModelOnMachine model={withoutSharedReason(model, agent)} />
            </td>
            <td>
              <Reason model={model} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/**
 * Return a model that is not there yet without a reason that is the machine's, which is above: that of an offline or
 * waiting machine, perhaps with an introduction. What a machine does just now is no such reason.
 */
function withoutSharedReason(model: AgentModel, { machine_state, state_reason, waiting_for }: Agent): AgentModel {
  const { reason } = model
  if (!reason || !isInProgress(model) || machine_state === 'syncing') return model
  const isShared = [state_reason, waiting_for].some(
    (text) => text && (reason === text || reason.endsWith(`: ${text}`) || text.endsWith(`. ${reason}`)),
  )
  return isShared || machine_state === 'offline' ? { ...model, reason: null } : model
}

/** Why the machine should have the model; an assignment can be ended here. */
function Reason({ model: { agent_id, model_id, display_name, desired_by } }: { model: AgentModel }) {
  const { may } = usePermissions()
  if (desired_by === 'labels') return 'Labels match'
  if (desired_by === 'subscription') return 'In a subscribed collection'
  return (
    <Group gap={4} wrap="nowrap">
      Sent by a person
      {may('agents_assign') && (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          aria-label={`Stop sending ${display_name}`}
          title={`Stop sending ${display_name}`}
          onClick={() => void unassignWithUndo({ agent_id, model_id }, display_name)}
        >
          <IconX size={14} aria-hidden />
        </ActionIcon>
      )}
    </Group>
  )
}
