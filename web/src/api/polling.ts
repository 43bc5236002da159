// Conditional polling: the registry answers 304 while nothing has changed, and nothing is rendered again.

import { Problem, unreachable } from '@/api/problem'
import { isProblemBody } from '@/api/session'

/** A response body with its ETag. */
export interface Tagged<Body> {
  etag: string
  body: Body
}

interface PendingResponse<Body> {
  data?: Body
  error?: unknown
  response: Response
}

/** Return the If-None-Match header for a known response. */
export function ifNoneMatch(known: Tagged<unknown> | undefined): { 'if-none-match'?: string } {
  return known?.etag ? { 'if-none-match': known.etag } : {}
}

/**
 * Return the response; on 304 the same object as before, so that it compares equal by identity.
 *
 * @throws Problem see `unwrap`.
 */
export async function readTagged<Body>(
  asked: Promise<PendingResponse<Body>>,
  known: Tagged<Body> | undefined,
): Promise<Tagged<Body>> {
  const { data, error, response } = await asked
  if (response.status === 304 && known) return known
  if (response.ok) return { etag: response.headers.get('ETag') ?? '', body: data as Body }
  throw isProblemBody(error) ? new Problem(error) : unreachable(response.status)
}

const LIVE_MILLISECONDS = 2_000
const HIDDEN_MILLISECONDS = 20_000

/** Query options for data that changes by itself: polled less often while the page is hidden. */
export const liveQueryOptions = {
  staleTime: 0,
  retry: false,
  refetchInterval: () => (document.hidden ? HIDDEN_MILLISECONDS : LIVE_MILLISECONDS),
  refetchIntervalInBackground: true,
  refetchOnWindowFocus: true,
} as const
