// What the address of the machines view says: which way of looking, which filters, and which machine is open.

import type { Agent, AgentModel } from '@/api/types'

export const STATUSES = ['idle', 'busy', 'syncing', 'unhealthy'] as const satisfies Agent['agent_status'][]
export const STATES = [
  'ready',
  'wanted',
  'downloading',
  'verifying',
  'conflict',
  'blocked',
  'failed',
] as const satisfies AgentModel['state'][]

export type StateFilter = AgentModel['state'] | 'missing'

export interface MachineSearch {
  view?: 'list' | 'matrix'
  /** A part of a machine's name; in the matrix, words that a model's name, path or tag contains. */
  q?: string
  label?: string
  status?: Agent['agent_status']
  /** The `agent_id` of the machine whose details are open. */
  machine?: string
  /** Of its models: only those in this state, or those that are not ready. */
  state?: StateFilter
  page?: number
  /** In the matrix: only models that are not everywhere yet. */
  missing?: boolean
}

/** What of an address belongs to this view; the rest is nobody's. */
export function machineSearch(search: Record<string, unknown>): MachineSearch {
  const page = Number(search.page)
  return {
    ...(search.view === 'matrix' && { view: 'matrix' as const }),
    ...text(search, 'q'),
    ...text(search, 'label'),
    ...text(search, 'machine'),
    ...(isOneOf(STATUSES, search.status) && { status: search.status }),
    ...(isOneOf([...STATES, 'missing'] as const, search.state) && { state: search.state }),
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
