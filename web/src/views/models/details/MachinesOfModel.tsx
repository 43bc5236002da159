// Which machines should have a model, and how far each is; asked for again as long as something moves.

import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { answered, api } from '@/api/client'
import type { AgentModel, Model } from '@/api/types'
import { ModelOnMachine } from '@/parts/ModelOnMachine'
import { Failed } from '@/parts/states'
import { count } from '@/parts/words'
import { Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'

const MOST_SHOWN = 100
const MOVING_MILLISECONDS = 2_000
const STILL_MILLISECONDS = 10_000

export function MachinesOfModel({ model }: { model: Model }) {
  const { data, error, refetch } = useQuery({
    queryKey: ['models', 'machines', model.id, model.model_status, model.verification],
    queryFn: ({ signal }) =>
      answered(
        api.GET('/api/v1/models/{model_id}/agents', {
          params: { path: { model_id: model.id }, query: { per_page: MOST_SHOWN } },
          signal,
        }),
      ),
    refetchInterval: ({ state }) =>
      state.data?.agent_model_list.some(isMoving) ? MOVING_MILLISECONDS : STILL_MILLISECONDS,
  })
  const machines = data?.agent_model_list ?? []
  const total = data?.page_meta.total_count ?? machines.length
  return (
    <Section title="Machines">
      {error && !data && <Failed error={error} again={() => void refetch()} />}
      {data && machines.length === 0 && <NoMachine model={model} />}
      {machines.length > 0 && (
        <>
          <Text size="sm" c="dimmed" role="status" mb={6}>
            {holding(machines)}
          </Text>
          <Stack component="ul" gap={0} className={classes.plain ?? ''}>
            {machines.map((one) => (
              <Machine key={one.agent_id} model={one} />
            ))}
          </Stack>
        </>
      )}
      {total > machines.length && <Text size="sm">and {count(total - machines.length, 'more', 'more')}</Text>}
    </Section>
  )
}

/** `1 of 3 machines has it.` */
function holding(machines: AgentModel[]): string {
  const ready = machines.filter((one) => one.state === 'ready').length
  const have = ready === 1 || machines.length === 1 ? 'has' : 'have'
  return `${ready} of ${count(machines.length, 'machine')} ${have} it.`
}

function isMoving({ state }: AgentModel): boolean {
  return ['wanted', 'downloading', 'verifying'].includes(state)
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

function NoMachine({ model }: { model: Model }) {
  return (
    <Text size="sm" c="dimmed">
      {model.model_status === 'disabled'
        ? 'It is disabled, so no machine should have it.'
        : model.verification === 'pending'
          ? 'None yet: machines get it once it is verified.'
          : model.required_labels.length
            ? `No machine has all of its labels: ${model.required_labels.join(', ')}.`
            : 'No machine is paired with this team yet.'}
    </Text>
  )
}
