import type { AgentModel } from '@/api/types'

const IN_PROGRESS: AgentModel['state'][] = ['queued', 'downloading', 'verifying']

/** Return whether a replica changes by itself; the other states stay until a person acts. */
export function isInProgress({ state }: Pick<AgentModel, 'state'>): boolean {
  return IN_PROGRESS.includes(state)
}
