// The typed API client. It sends the caller's token and team with each request.
//
//     const page = await unwrap(api.GET('/api/v1/models', { params: { query: { q: 'ink' } } }))

import createClient from 'openapi-fetch'
import { buildPath } from '@/api/paths'
import { Problem, unreachable } from '@/api/problem'
import { clearSession, currentTeamId, getAccessToken, isProblemBody, loadUser, refreshAccessToken } from '@/api/session'
import type { paths } from '@/generated/schema'

/** All operations by path, with typed parameters, bodies and responses. */
export const api = createClient<paths>({ baseUrl: '', fetch: fetchAndCheckRole, pathSerializer: buildPath })

/**
 * Return the body of a successful response.
 *
 * @throws Problem the registry refused the request or did not respond.
 */
export async function unwrap<Body>(
  asked: Promise<{ data?: Body; error?: unknown; response: Response }>,
): Promise<Body> {
  const { data, error, response } = await asked
  if (response.ok) return data as Body
  throw isProblemBody(error) ? new Problem(error) : unreachable(response.status)
}

async function sendAuthenticated(request: Request): Promise<Response> {
  const again = request.clone()
  const answer = await send(request, await getToken(getAccessToken))
  if (answer.status !== 401) return answer
  // The signing key or the clock may have changed: retry once with a new token, then end the session.
  const second = await send(again, await getToken(refreshAccessToken))
  if (second.status === 401) clearSession()
  return second
}

/** Return a token; on 401 end the session, which shows the sign-in form. */
async function getToken(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) clearSession()
    throw error
  }
}

async function send(request: Request, token: string): Promise<Response> {
  const headers = new Headers(request.headers)
  headers.set('Authorization', `Bearer ${token}`)
  const team = currentTeamId()
  // Uploads set their own team, because the page may have switched to another one.
  if (team && !headers.has('X-Team-ID')) headers.set('X-Team-ID', team)
  return fetch(new Request(request, { headers })).catch((error) => {
    // The caller that aborted handles the AbortError itself.
    throw error instanceof DOMException && error.name === 'AbortError' ? error : unreachable()
  })
}

/** Reload the user after a 403, because a role or a membership may just have changed. */
async function fetchAndCheckRole(request: Request): Promise<Response> {
  const answer = await sendAuthenticated(request)
  if (answer.status === 403) void reloadUser()
  return answer
}

let reloading: Promise<void> | undefined

function reloadUser(): Promise<void> {
  reloading ??= loadUser()
    .catch(() => undefined)
    .finally(() => {
      reloading = undefined
    })
  return reloading
}
