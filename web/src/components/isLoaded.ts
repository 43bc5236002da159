import type { AgentModel } from '@/api/types'

/**
 * Return whether ComfyUI can use a replica: the file is on the machine, and the machine gives no reason why ComfyUI
 * does not load it.
 */
export function isLoaded({ state, reason }: Pick<AgentModel, 'state' | 'reason'>): boolean {
  return state === 'ready' && !reason
}

/** `, 1 not loaded`, to follow the number of machines that have the file; empty if ComfyUI loads all of them. */
export function describeUnloaded(present: Pick<AgentModel, 'state' | 'reason'>[]): string {
  const unloaded = present.filter((one) => !isLoaded(one)).length
  return unloaded > 0 ? `, ${unloaded} not loaded` : ''
}
