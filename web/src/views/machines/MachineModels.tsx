// What a machine should hold and how far each model is, as it is now.

import { Group, NativeSelect, Pagination, Stack, Text, Title } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import type { Agent, AgentModel } from '@/api/types'
import { live } from '@/api/unchanged'
import { AnchorLink } from '@/parts/links'
import { ModelOnMachine } from '@/parts/ModelOnMachine'
import { Failed, Loading } from '@/parts/states'
import { count } from '@/parts/words'
import { useChange } from '@/views/machines/Filters'
import classes from '@/views/machines/machines.module.css'
import { STATES, type StateFilter } from '@/views/machines/search'

const PER_PAGE = 50
const FILTERS = [{ value: '', label: 'All models' }, { value: 'missing', label: 'Not ready' }, ...STATES]
// Counting ends here: see the contract of lists.
const COUNTED = 10_000

interface Asked {
  agent: Agent
  state: StateFilter | undefined
  page: number
}

export function MachineModels({ agent, state, page }: Asked) {
  const change = useChange()
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
          data={FILTERS}
          onChange={(event) => change({ state: event.currentTarget.value, page: undefined })}
        />
      </Group>
      {!data && (error ? <Failed error={error} again={() => void refetch()} /> : <Loading what="Loading models" />)}
      {data && (
        <>
          <Text size="sm" c="dimmed" role="status">
            {total >= COUNTED ? `More than ${count(COUNTED, 'model')}` : count(total, 'model')}
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

/** Asked for all the time while models come or go, else when the machine's numbers have changed. */
function useModels(agent: Agent, state: StateFilter | undefined, current_page: number) {
  const said = [agent.models_ready, agent.models_wanted, agent.sync_phase, agent.waiting_for]
  const query = {
    current_page,
    per_page: PER_PAGE,
    ...(state === 'missing' ? { missing: true } : state && { state }),
  }
  return useQuery({
    queryKey: ['fleet models', agent.agent_id, query, said],
    queryFn: () =>
      answered(api.GET('/api/v1/agents/{agent_id}/models', { params: { path: { agent_id: agent.agent_id }, query } })),
    placeholderData: keepPreviousData,
    ...live,
    refetchInterval: agent.agent_status === 'syncing' ? live.refetchInterval : false,
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
