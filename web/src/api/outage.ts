// Whether the registry answers. While it does not, it is asked again after some seconds, and once it answers, what is
// shown is loaded anew.

import { useSyncExternalStore } from 'react'
import { api, unwrap } from '@/api/client'
import { isUnreachable } from '@/api/problem'
import { queryClient } from '@/api/queryClient'

const FIRST_PAUSE_MILLISECONDS = 1_000
const PAUSES_MILLISECONDS = [2_000, 4_000, 8_000, 15_000]
// Open pages ask, and load anew, at different moments.
const MAX_JITTER_MILLISECONDS = 1_000
const PROBE_MILLISECONDS = 10_000
const MAX_RELOADED_PAGES = 2

/** `isConfirmed` once a request of its own has failed too: one failed request may have other causes. */
export interface Outage {
  isConfirmed: boolean
  attempts: number
  retryAt: number
}

let outage: Outage | undefined
let timer: ReturnType<typeof setTimeout> | undefined
let isProbing = false
const listeners = new Set<() => void>()

export function useOutage(): Outage | undefined {
  return useSyncExternalStore(subscribe, () => outage)
}

/** Ask the registry now; a request that is under way is not repeated. */
export function retryNow(): void {
  clearTimeout(timer)
  if (isProbing) return
  isProbing = true
  void probe().finally(() => {
    isProbing = false
  })
}

/** Watch the requests of the views; called once. */
export function watchRequests(): void {
  queryClient.getQueryCache().subscribe(({ type, ...event }) => {
    if (type !== 'updated' || !('action' in event) || outage) return
    const { action } = event
    if ((action.type === 'failed' || action.type === 'error') && isUnreachable(action.error)) {
      waitFor(FIRST_PAUSE_MILLISECONDS, false, 0)
    }
  })
}

function waitFor(pause: number, isConfirmed: boolean, attempts: number): void {
  clearTimeout(timer)
  const wait = pause + Math.random() * MAX_JITTER_MILLISECONDS
  timer = setTimeout(retryNow, wait)
  setOutage({ isConfirmed, attempts, retryAt: Date.now() + wait })
}

async function probe(): Promise<void> {
  const before = outage
  if (await isAnswering()) {
    setOutage(undefined)
    if (before?.isConfirmed) await reload()
    return
  }
  const attempts = before?.attempts ?? 0
  const pause = PAUSES_MILLISECONDS[Math.min(attempts, PAUSES_MILLISECONDS.length - 1)] ?? 0
  waitFor(pause, true, attempts + 1)
}

/** Return whether the registry answers within some seconds, whatever it answers. */
async function isAnswering(): Promise<boolean> {
  const signal = AbortSignal.timeout(PROBE_MILLISECONDS)
  return unwrap(api.GET('/api/v1/teams/current', { signal })).then(
    () => true,
    (error: unknown) => !signal.aborted && !isUnreachable(error),
  )
}

/**
 * Load what is shown anew, without lists of many pages, each of which is a request. Requests that wait for their next
 * attempt begin again, or they would wait on.
 */
async function reload(): Promise<void> {
  await queryClient.cancelQueries({ predicate: ({ state }) => state.data === undefined })
  await queryClient.invalidateQueries({ predicate: ({ state }) => countPages(state.data) <= MAX_RELOADED_PAGES })
}

function countPages(data: unknown): number {
  return typeof data === 'object' && data !== null && 'pages' in data && Array.isArray(data.pages)
    ? data.pages.length
    : 0
}

function setOutage(next: Outage | undefined): void {
  outage = next
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
