// The one way to the registry: its typed operations, with the caller's token and team on each request.
//
//     const page = await answered(api.GET('/api/v1/models', { params: { query: { q: 'ink' } } }))

import createClient from 'openapi-fetch'
import { Problem, unreachable } from '@/api/problem'
import type { paths } from '@/api/schema'
import { accessToken, currentTeamId, forget, isProblem, learnWhoIAm, renewedToken } from '@/api/session'

/** Each operation by its address, with the types of its body, its parameters and its answers. */
export const api = createClient<paths>({ baseUrl: '', fetch: noticing })

/**
 * The body of an answer.
 *
 * @throws Problem what the registry refused, or that it does not answer.
 */
export async function answered<Body>(
  asked: Promise<{ data?: Body; error?: unknown; response: Response }>,
): Promise<Body> {
  const { data, error, response } = await asked
  if (response.ok) return data as Body
  throw isProblem(error) ? new Problem(error) : unreachable(response.status)
}

async function withCaller(request: Request): Promise<Response> {
  const again = request.clone()
  const answer = await send(request, await token(accessToken))
  if (answer.status !== 401) return answer
  // The key to signatures may have changed, or the clock: once more with a fresh token, and then it is over.
  const second = await send(again, await token(renewedToken))
  if (second.status === 401) forget()
  return second
}

/** A token, or the end of the session: then the sign-in is shown. */
async function token(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) forget()
    throw error
  }
}

async function send(request: Request, token: string): Promise<Response> {
  const headers = new Headers(request.headers)
  headers.set('Authorization', `Bearer ${token}`)
  const team = currentTeamId()
  // What goes on while somebody looks at another team, an upload, says its own.
  if (team && !headers.has('X-Team-ID')) headers.set('X-Team-ID', team)
  return fetch(new Request(request, { headers })).catch((error) => {
    // Whoever gave up asking knows it.
    throw error instanceof DOMException && error.name === 'AbortError' ? error : unreachable()
  })
}

/** What is refused may be so since a moment ago: the page looks whether a role or a team was lost. */
async function noticing(request: Request): Promise<Response> {
  const answer = await withCaller(request)
  if (answer.status === 403) void lookAtMyself()
  return answer
}

let looking: Promise<void> | undefined

function lookAtMyself(): Promise<void> {
  looking ??= learnWhoIAm()
    .catch(() => undefined)
    .finally(() => {
      looking = undefined
    })
  return looking
}
