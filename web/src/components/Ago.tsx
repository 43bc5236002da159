// A relative time that stays current; the tooltip has the exact time.

import { useSyncExternalStore } from 'react'
import { formatAgo, formatDateTime } from '@/components/format'

const STEP_MILLISECONDS = 10_000

export function Ago({ time }: { time: string }) {
  const now = useNow()
  return (
    <time dateTime={time} title={formatDateTime(time)}>
      {formatAgo(time, Math.max(now, Date.parse(time)))}
    </time>
  )
}

const listeners = new Set<() => void>()
let moment = Date.now()
let clock: ReturnType<typeof setInterval> | undefined

/** Return the current time in steps; all components share one timer. */
function useNow(): number {
  return useSyncExternalStore(listen, () => moment)
}

function listen(listener: () => void): () => void {
  listeners.add(listener)
  moment = Date.now()
  clock ??= setInterval(() => {
    moment = Date.now()
    for (const each of listeners) each()
  }, STEP_MILLISECONDS)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(clock)
    clock = undefined
  }
}
