// Search parameters of the machines page: view, filters and open machine.

import type { Agent, AgentModel } from '@/api/types'
import { MACHINE_STATES, REPLICA_STATES } from '@/generated/states'

export type StateFilter = AgentModel['state'] | 'missing'

export interface MachineSearch {
  view?: 'list' | 'matrix'
  /** A part of a machine's name; in the matrix, words that a model's name, path or tag contains. */
  q?: string
  label?: string
  status?: Agent['machine_state']
  /** The `agent_id` of the machine whose details are open. */
  machine?: string
  /** Of its models: only those in this state, or those that are not ready. */
  state?: StateFilter
  page?: number
  /** In the matrix: only models that are missing on a machine. */
  missing?: boolean
}

/** Validate the search parameters; unknown and invalid ones are dropped. */
export function machineSearch(search: Record<string, unknown>): MachineSearch {
  const page = Number(search.page)
  return {
    ...(search.view === 'matrix' && { view: 'matrix' as const }),
    ...text(search, 'q'),
    ...text(search, 'label'),
    ...text(search, 'machine'),
    ...(isOneOf(MACHINE_STATES, search.status) && { status: search.status }),
    ...(isOneOf([...REPLICA_STATES, 'missing'] as const, search.state) && { state: search.state }),
    ...(Number.isInteger(page) && page > 1 && { page }),
    ...(search.missing === true && { missing: true }),
  }
}

function text<Name extends string>(search: Record<string, unknown>, name: Name): { [key in Name]?: string } {
  const value = search[name]
  return (value === undefined || value === '' ? {} : { [name]: String(value) }) as { [key in Name]?: string }
}

function isOneOf<Word>(words: readonly Word[], value: unknown): value is Word {
  return words.includes(value as Word)
}
