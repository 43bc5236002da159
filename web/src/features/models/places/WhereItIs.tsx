// Where a model is: the machines that should have it, with replica states, and sending it to others.

import { ActionIcon, Text } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { AgentModel, Model } from '@/api/types'
import boxes from '@/components/boxedList.module.css'
import { formatCount } from '@/components/format'
import { describeUnloaded } from '@/components/isLoaded'
import { ModelOnMachine } from '@/components/ModelOnMachine'
import { LoadError } from '@/components/placeholders'
import { Section } from '@/features/models/details/Section'
import { unassignWithUndo } from '@/features/models/places/assignments'
import classes from '@/features/models/places/places.module.css'
import { useMachinesOfModel } from '@/features/models/places/useMachinesOfModel'
import { isDamaged } from '@/features/models/refusals'
import { type KeptFile, useKeptFile } from '@/features/models/useKeptFile'

export function WhereItIs({ model }: { model: Model }) {
  const { data, error, refetch } = useMachinesOfModel(model)
  const machines = data?.agent_model_list ?? []
  const total = data?.page_meta.total_count ?? machines.length
  return (
    <Section
      title="Where it is"
      note={machines.length > 0 && <span role="status">{describeReady(model, machines, total)}</span>}
    >
      {error && !data && <LoadError error={error} onRetry={() => void refetch()} />}
      {data && machines.length === 0 && <NoMachines model={model} />}
      {machines.length > 0 && (
        <ul className={boxes.list} aria-label="Machines of the model">
          {machines.map((one) => (
            <Machine key={one.agent_id} model={one} />
          ))}
        </ul>
      )}
      {total > machines.length && <Text size="sm">and {formatCount(total - machines.length, 'more', 'more')}</Text>}
    </Section>
  )
}

/** `On 2 of 3 machines, 1 not loaded`: of the machines that are listed. */
function describeReady({ agents_ready }: Model, machines: AgentModel[], total: number): string {
  const present = machines.filter(({ state }) => state === 'ready')
  const ready = total <= machines.length ? present.length : agents_ready
  return `On ${ready} of ${formatCount(total, 'machine')}${describeUnloaded(present)}`
}

function Machine({ model }: { model: AgentModel }) {
  const { may } = usePermissions()
  const { agent_id, model_id, display_name } = model
  return (
    <li className={classes.machine}>
      <Link to="/machines" search={{ machine: agent_id }} className={classes.name} preload={false}>
        <bdi>{agent_id}</bdi>
      </Link>
      <ModelOnMachine model={model} />
      {model.desired_by === 'assignment' && (
        <span className={classes.assigned} title="Sent by a person; its labels do not require it">
          assigned
          {may('agents_assign') && (
            <ActionIcon
              variant="subtle"
              color="gray"
              size="sm"
              aria-label={`Stop sending to ${agent_id}`}
              title={`Stop sending to ${agent_id}`}
              onClick={() => void unassignWithUndo({ agent_id, model_id }, display_name)}
            >
              <IconX size={14} aria-hidden />
            </ActionIcon>
          )}
        </span>
      )}
    </li>
  )
}

function NoMachines({ model }: { model: Model }) {
  const kept = useKeptFile(model)
  return (
    <Text size="sm" c="dimmed">
      {explainNoMachines(model, kept)}
    </Text>
  )
}

/** Why no machine should have the model. One whose current version is damaged is still on the machines that have it. */
function explainNoMachines(model: Model, kept: KeptFile | undefined): string {
  if (model.model_status === 'disabled') return 'The model is disabled, so no machine should have it.'
  if (model.verification === 'pending') return 'None yet. Machines download the model after it is verified.'
  if (kept === 'converts') return 'No machine gets the model, because the team keeps its file only to convert it.'
  if (kept) return 'No machine gets the model, because its file was not accepted when it was checked.'
  if (model.verification === 'failed' && !isDamaged(model)) {
    return 'No machine gets the model, because its verification failed.'
  }
  if (model.required_labels.length) return `No machine has all of its labels: ${model.required_labels.join(', ')}.`
  return 'No machine is paired with this team yet.'
}
