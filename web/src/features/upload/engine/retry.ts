// Retries of transient failures, such as a lost network or a restarting registry.

import { Problem } from '@/api/problem'
import { currentSession, onSession } from '@/api/session'

const TRANSIENT_STATUSES = [0, 408, 425, 429, 500, 502, 503, 504]
const FIRST_WAIT_SECONDS = 0.5
const MAX_WAIT_SECONDS = 30
// A longer Retry-After is shown as an error instead, because some limits last for days.
const MAX_RETRY_AFTER_SECONDS = 300

export function isTransient(status: number): boolean {
  return TRANSIENT_STATUSES.includes(status)
}

export interface RetryContext {
  signal: AbortSignal
  /** Show what the upload waits for; '' when it continues. */
  setNote: (note: string) => void
}

/**
 * Return the response, retrying as long as the registry is unreachable; waits for a new sign-in on 401.
 *
 * @throws Problem any failure that is not transient.
 */
export async function withRetry<Answer>(
  { signal, setNote }: RetryContext,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  for (let failures = 1; ; failures += 1) {
    try {
      const answer = await ask()
      if (failures > 1) setNote('')
      return answer
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Problem)) throw error
      if (error.status === 401) await waitForSignIn(signal, setNote)
      else if (isRetryable(error)) await backOff(failures, { signal, setNote }, error)
      else throw error
    }
  }
}

function isRetryable(problem: Problem): boolean {
  return isTransient(problem.status) && getRetryAfterSeconds(problem) <= MAX_RETRY_AFTER_SECONDS
}

function getRetryAfterSeconds(problem: Problem | undefined): number {
  return Number(problem?.facts.retry_after ?? 0)
}

/**
 * Wait before the next attempt, with exponential backoff; ends early when the browser is online again.
 *
 * `peer` names the service that does not answer.
 */
export async function backOff(
  failures: number,
  { signal, setNote }: RetryContext,
  problem?: Problem,
  peer = 'The registry',
): Promise<void> {
  const longest = Math.min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (failures - 1))
  // Jitter, so that clients do not reconnect at the same time.
  const seconds = Math.max(getRetryAfterSeconds(problem), longest * (0.5 + Math.random() / 2))
  const why = problem && problem.status !== 0 ? problem.title : `${peer} does not answer`
  setNote(`${why}. Retrying ${seconds < 3 ? 'in a moment' : `in ${Math.ceil(seconds)} s`}.`)
  await wait(seconds * 1000, signal)
}

export function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return waitForEvent(signal, (over) => {
    const timer = setTimeout(over, milliseconds)
    addEventListener('online', over)
    return () => {
      clearTimeout(timer)
      removeEventListener('online', over)
    }
  })
}

async function waitForSignIn(signal: AbortSignal, tell: RetryContext['setNote']): Promise<void> {
  tell('You are signed out. Sign in to continue.')
  while (currentSession().state !== 'signed-in') {
    await waitForEvent(signal, onSession)
  }
  tell('')
}

/** Wait for an event; `listen` subscribes and returns its unsubscribe function, which is always called. */
function waitForEvent(signal: AbortSignal, listen: (over: () => void) => () => void): Promise<void> {
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
