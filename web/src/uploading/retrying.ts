// Which failures pass, and how long to wait for that: a network that comes back, a registry that starts again.

import { Problem } from '@/api/problem'
import { currentSession, onSession } from '@/api/session'

const PASSING = [0, 408, 425, 429, 500, 502, 503, 504]
const FIRST_WAIT_SECONDS = 0.5
const LONGEST_WAIT_SECONDS = 30

export function passes(status: number): boolean {
  return PASSING.includes(status)
}

export interface Patience {
  signal: AbortSignal
  /** Says what is waited for; empty when it goes on. */
  tell: (note: string) => void
}

/**
 * What the registry answers, however long it is away; a session that ended is waited for as well.
 *
 * @throws Problem whatever does not pass.
 */
export async function persistently<Answer>({ signal, tell }: Patience, ask: () => Promise<Answer>): Promise<Answer> {
  for (let failures = 1; ; failures += 1) {
    try {
      const answer = await ask()
      if (failures > 1) tell('')
      return answer
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Problem)) throw error
      if (error.status === 401) await signedInAgain(signal, tell)
      else if (passes(error.status)) await backOff(failures, { signal, tell }, error)
      else throw error
    }
  }
}

/** Wait before the next try, longer each time; shorter if the network says that it is back. */
export async function backOff(failures: number, { signal, tell }: Patience, problem?: Problem): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (failures - 1))
  const asked = Number(problem?.facts.retry_after ?? 0)
  // Jitter, so that a studio that lost its registry does not come back as one.
  const seconds = Math.max(asked, longest * (0.5 + Math.random() / 2))
  const why = problem && problem.status !== 0 ? problem.title : 'The registry does not answer'
  tell(`${why}. Trying again ${seconds < 3 ? 'in a moment' : `in ${Math.ceil(seconds)} s`}.`)
  await passed(seconds * 1000, signal)
}

export function passed(milliseconds: number, signal: AbortSignal): Promise<void> {
  return unlessStopped(signal, (over) => {
    const timer = setTimeout(over, milliseconds)
    addEventListener('online', over)
    return () => {
      clearTimeout(timer)
      removeEventListener('online', over)
    }
  })
}

async function signedInAgain(signal: AbortSignal, tell: Patience['tell']): Promise<void> {
  tell('You are signed out. Sign in, and it goes on.')
  while (currentSession().state !== 'signed-in') {
    await unlessStopped(signal, onSession)
  }
  tell('')
}

/** Waits for what `listen` hears; it gives what ends the listening, which ends in any case. */
function unlessStopped(signal: AbortSignal, listen: (over: () => void) => () => void): Promise<void> {
  return new Promise((over, failed) => {
    const end = () => {
      leave()
      signal.removeEventListener('abort', stop)
    }
    const stop = () => {
      end()
      failed(signal.reason)
    }
    const leave = listen(() => {
      end()
      over()
    })
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
  })
}
