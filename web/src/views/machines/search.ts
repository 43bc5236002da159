// What the address of the machines view says: which way of looking, and which machine is open.

export interface MachineSearch {
  view?: 'list' | 'matrix'
  /** The `agent_id` of the machine whose details are open. */
  machine?: string
  /** In the matrix: only models that are not everywhere yet. */
  missing?: boolean
}

export function machineSearch(search: Record<string, unknown>): MachineSearch {
  return {
    ...(search.view === 'matrix' && { view: 'matrix' as const }),
    ...(search.machine !== undefined && { machine: String(search.machine) }),
    ...(search.missing === true && { missing: true }),
  }
}
