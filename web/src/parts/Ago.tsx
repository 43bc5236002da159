// How long ago something was, kept true while one looks; the exact time is what points at it.

import { useSyncExternalStore } from 'react'
import { ago, dateAndTime } from '@/parts/words'

const STEP_MILLISECONDS = 10_000

export function Ago({ time }: { time: string }) {
  const now = useNow()
  return (
    <time dateTime={time} title={dateAndTime(time)}>
      {ago(time, Math.max(now, Date.parse(time)))}
    </time>
  )
}

const listeners = new Set<() => void>()
let moment = Date.now()
let clock: ReturnType<typeof setInterval> | undefined

/** The time, in steps: one clock for all that show it. */
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
