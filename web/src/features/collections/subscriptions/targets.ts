// What can be subscribed to a collection, and which machines that means. Pure.

import type { Agent, NewSubscription, Subscription } from '@/api/types'
import { LABEL_PATTERN } from '@/generated/fieldLimits'

const LABEL = 'label '
const MACHINE = 'machine '

interface Choice {
  value: string
  label: string
}

export interface ChoiceGroup {
  group: string
  items: Choice[]
}

/** Return the labels and machines that are not subscribed; a typed label can be one that no machine has yet. */
export function listChoices(
  agents: readonly Agent[],
  subscribed: readonly Subscription[],
  typed: string,
): ChoiceGroup[] {
  const present = new Set(
    subscribed.map(({ label, agent_id }) => (label === null ? MACHINE + agent_id : LABEL + label)),
  )
  const words = typed.trim().toLowerCase()
  const known = [...new Set(agents.flatMap(({ agent_labels }) => agent_labels))].sort()
  const pick = (prefix: string, names: string[]) =>
    names
      .filter((name) => name.toLowerCase().includes(words) && !present.has(prefix + name))
      .map((name) => ({ value: prefix + name, label: name }))
  const labels = pick(LABEL, known)
  const isNew = new RegExp(LABEL_PATTERN).test(typed.trim()) && !known.includes(typed.trim())
  const added = isNew ? pick(LABEL, [typed.trim()]) : []
  const groups = [
    { group: 'Machines with the label', items: labels },
    {
      group: 'Machine',
      items: pick(
        MACHINE,
        agents.map(({ agent_id }) => agent_id),
      ),
    },
    { group: 'Label that no machine has yet', items: added },
  ]
  return groups.filter(({ items }) => items.length > 0)
}

/** Return what a choice subscribes. */
export function parseChoice(value: string): NewSubscription {
  return value.startsWith(LABEL) ? { label: value.slice(LABEL.length) } : { agent_id: value.slice(MACHINE.length) }
}

/** Return the machines that get the collection by a subscription. */
export function listMachines(agents: readonly Agent[], { label, agent_id }: Subscription): Agent[] {
  return agents.filter((agent) => (label === null ? agent.agent_id === agent_id : agent.agent_labels.includes(label)))
}
