// Asking again and again, cheaply: the registry answers 304 while nothing has changed, and nothing is shown anew.

import { Problem, unreachable } from '@/api/problem'
import { isProblem } from '@/api/session'

/** An answer, and the name under which the registry knows it. */
export interface Tagged<Body> {
  etag: string
  body: Body
}

interface Asked<Body> {
  data?: Body
  error?: unknown
  response: Response
}

/** The header that asks only for something else than what is known. */
export function unless(known: Tagged<unknown> | undefined): { 'if-none-match'?: string } {
  return known?.etag ? { 'if-none-match': known.etag } : {}
}

/**
 * The answer; the very same one as before where nothing has changed, so that nobody has to compare.
 *
 * @throws Problem see `answered`.
 */
export async function tagged<Body>(
  asked: Promise<Asked<Body>>,
  known: Tagged<Body> | undefined,
): Promise<Tagged<Body>> {
  const { data, error, response } = await asked
  if (response.status === 304 && known) return known
  if (response.ok) return { etag: response.headers.get('ETag') ?? '', body: data as Body }
  throw isProblem(error) ? new Problem(error) : unreachable(response.status)
}

const LIVE_MILLISECONDS = 2_000
const HIDDEN_MILLISECONDS = 20_000

/** How often something is asked for that changes by itself: seldom while nobody can see it. */
export const live = {
  staleTime: 0,
  retry: false,
  refetchInterval: () => (document.hidden ? HIDDEN_MILLISECONDS : LIVE_MILLISECONDS),
  refetchIntervalInBackground: true,
  refetchOnWindowFocus: true,
} as const
