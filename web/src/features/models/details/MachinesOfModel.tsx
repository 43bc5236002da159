// Machines that should have a model, with replica states; polled faster while a replica is in progress.

import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { api, unwrap } from '@/api/client'
import type { AgentModel, Model } from '@/api/types'
import { formatCount } from '@/components/format'
import { ModelOnMachine } from '@/components/ModelOnMachine'
import { LoadError } from '@/components/placeholders'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/models.module.css'

const MAX_SHOWN = 100
const IN_PROGRESS: AgentModel['state'][] = ['queued', 'downloading', 'verifying']
const ACTIVE_MILLISECONDS = 2_000
const IDLE_MILLISECONDS = 10_000

export function MachinesOfModel({ model }: { model: Model }) {
  const { data, error, refetch } = useQuery({
    queryKey: ['models', 'machines', model.id, model.model_status, model.verification, model.version],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models/{model_id}/agents', {
          params: { path: { model_id: model.id }, query: { per_page: MAX_SHOWN } },
          signal,
        }),
      ),
    refetchInterval: ({ state }) =>
      state.data?.agent_model_list.some(isInProgress) ? ACTIVE_MILLISECONDS : IDLE_MILLISECONDS,
  })
  const machines = data?.agent_model_list ?? []
  const total = data?.page_meta.total_count ?? machines.length
  return (
    <Section title="Machines">
      {error && !data && <LoadError error={error} onRetry={() => void refetch()} />}
      {data && machines.length === 0 && <NoMachines model={model} />}
      {machines.length > 0 && (
        <>
          <Text size="sm" c="dimmed" role="status" mb={6}>
            {describeReady(machines)}
          </Text>
          <Stack component="ul" gap={0} className={classes.plain ?? ''}>
            {machines.map((one) => (
              <Machine key={one.agent_id} model={one} />
            ))}
          </Stack>
        </>
      )}
      {total > machines.length && <Text size="sm">and {formatCount(total - machines.length, 'more', 'more')}</Text>}
    </Section>
  )
}

/** `1 of 3 machines has it.` */
function describeReady(machines: AgentModel[]): string {
  const ready = machines.filter((one) => one.state === 'ready').length
  const have = ready === 1 || machines.length === 1 ? 'has' : 'have'
  return `${ready} of ${formatCount(machines.length, 'machine')} ${have} it.`
}

function isInProgress({ state }: AgentModel): boolean {
  return IN_PROGRESS.includes(state)
}

function Machine({ model }: { model: AgentModel }) {
  return (
    <li className={classes.machine}>
      <Link to="/machines" search={{ machine: model.agent_id }} className={classes.name} preload={false}>
        <bdi>{model.agent_id}</bdi>
      </Link>
      <ModelOnMachine model={model} />
    </li>
  )
}

function NoMachines({ model }: { model: Model }) {
  return (
    <Text size="sm" c="dimmed">
      {model.model_status === 'disabled'
        ? 'The model is disabled, so no machine should have it.'
        : model.verification === 'pending'
          ? 'None yet. Machines download the model after it is verified.'
          : model.required_labels.length
            ? `No machine has all of its labels: ${model.required_labels.join(', ')}.`
            : 'No machine is paired with this team yet.'}
    </Text>
  )
}
