// The desired models of a machine with their live states.

import { Group, NativeSelect, Pagination, Stack, Text, Title } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { liveQueryOptions } from '@/api/polling'
import type { Agent, AgentModel } from '@/api/types'
import { formatCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { ModelOnMachine } from '@/components/ModelOnMachine'
import { LoadError, Loading } from '@/components/placeholders'
import { useChangeSearch } from '@/features/machines/Filters'
import classes from '@/features/machines/machines.module.css'
import type { StateFilter } from '@/features/machines/search'
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

/** Query a page of models: polled while the machine syncs, otherwise refreshed when its numbers change. */
function useModels(agent: Agent, state: StateFilter | undefined, current_page: number) {
  const refreshKey = [agent.models_ready, agent.models_desired, agent.sync_phase, agent.waiting_for]
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
    refetchInterval: agent.agent_status === 'syncing' ? liveQueryOptions.refetchInterval : false,
  })
}

function Table({ models, agent }: { models: AgentModel[]; agent: Agent }) {
  return (
    <table className={classes.models} aria-label={`Models on ${agent.agent_id}`}>
      <thead>
        <tr>
          <th scope="col">Model</th>
          <th scope="col">State</th>
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
              <ModelOnMachine model={model} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
