// Sends models to machines, also to those that the labels of the models exclude.

import { Button, Checkbox, Group, List, Modal, Stack, Text, TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { useState } from 'react'
import { groupByReason } from '@/api/runBatch'
import type { Agent, AgentModel, Model } from '@/api/types'
import { formatCount } from '@/components/format'
import { useOpenedOnceMounted } from '@/components/lazyOpening'
import { LoadError, Loading } from '@/components/placeholders'
import { useMachines } from '@/features/machines/useMachines'
import { sendWithUndo } from '@/features/models/places/assignments'
import classes from '@/features/models/places/places.module.css'
import { useMachinesOfModel } from '@/features/models/places/useMachinesOfModel'

// A team with fewer machines needs no search for one.
const SEARCH_FROM = 8

interface SendDialogProps {
  models: Model[]
  isOpen: boolean
  onClose: () => void
}

export function SendDialog({ models, isOpen, onClose }: SendDialogProps) {
  const title = models.length === 1 ? `Send “${models[0]?.display_name}” to…` : `Send ${models.length} models to…`
  return (
    <Modal opened={useOpenedOnceMounted(isOpen)} onClose={onClose} title={<bdi>{title}</bdi>}>
      {models.length === 1 && models[0] ? (
        <FormOfOne model={models[0]} onClose={onClose} />
      ) : (
        <Form models={models} places={[]} onClose={onClose} />
      )}
    </Modal>
  )
}

/** With the machines that should have the model already. */
function FormOfOne({ model, onClose }: { model: Model; onClose: () => void }) {
  const { data, error, refetch } = useMachinesOfModel(model)
  if (!data) {
    return error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the machines" />
  }
  return <Form models={[model]} places={data.agent_model_list} onClose={onClose} />
}

interface FormProps {
  models: Model[]
  places: AgentModel[]
  onClose: () => void
}

function Form({ models, places, onClose }: FormProps) {
  const { agents, error, retry } = useMachines()
  const [chosen, setChosen] = useState<string[]>([])
  const [isBusy, setBusy] = useState(false)
  const [refusals, setRefusals] = useState<string[]>([])
  const onSend = async () => {
    setBusy(true)
    const all = chosen.flatMap((agent_id) => models.map(({ id }) => ({ agent_id, model_id: id })))
    const refused = await sendWithUndo(all)
    setBusy(false)
    if (refused.length === 0) return onClose()
    setRefusals([...groupByReason(refused)].map(([why, some]) => `${formatCount(some.length, 'failure')}: ${why}`))
  }
  if (!agents) return error ? <LoadError error={error} onRetry={retry} /> : <Loading label="Loading the machines" />
  if (agents.length === 0) return <Text>No machines yet. Pair one to sync models.</Text>
  return (
    <Stack>
      <Choice agents={agents} places={places} chosen={chosen} onChange={setChosen} />
      {refusals.length > 0 && (
        <List size="sm" c="var(--mantine-color-error)" role="alert">
          {refusals.map((text) => (
            <List.Item key={text}>{text}</List.Item>
          ))}
        </List>
      )}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button disabled={chosen.length === 0} loading={isBusy} onClick={() => void onSend()}>
          {chosen.length === 0 ? 'Send' : `Send to ${formatCount(chosen.length, 'machine')}`}
        </Button>
      </Group>
    </Stack>
  )
}

interface ChoiceProps {
  agents: Agent[]
  places: AgentModel[]
  chosen: string[]
  onChange: (chosen: string[]) => void
}

function Choice({ agents, places, chosen, onChange }: ChoiceProps) {
  const [typed, setTyped] = useState('')
  const word = typed.trim().toLowerCase()
  const shown = agents.filter(({ agent_id, agent_labels }) =>
    [agent_id, ...agent_labels].some((text) => text.toLowerCase().includes(word)),
  )
  const placeOf = new Map(places.map((place) => [place.agent_id, place]))
  return (
    <>
      {agents.length >= SEARCH_FROM && (
        <TextInput
          type="search"
          aria-label="Search machines"
          placeholder="Name or label"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      )}
      <Checkbox.Group value={chosen} onChange={onChange} label="Machines">
        <div className={classes.choices}>
          {shown.map(({ agent_id }) => (
            <Checkbox
              key={agent_id}
              value={agent_id}
              label={<bdi>{agent_id}</bdi>}
              description={describePlace(placeOf.get(agent_id))}
              disabled={placeOf.has(agent_id)}
            />
          ))}
        </div>
      </Checkbox.Group>
      {shown.length === 0 && <Text size="sm">No machines match.</Text>}
    </>
  )
}

function describePlace(place: AgentModel | undefined): string | undefined {
  if (!place) return undefined
  if (place.desired_by === 'subscription') return 'Gets it with a collection'
  return place.desired_by === 'assignment' ? 'Sent there already' : 'Gets it by its labels'
}
