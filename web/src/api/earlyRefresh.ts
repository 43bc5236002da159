// Requests a session refresh while the rest of the page is still loading. Loaded before everything else.

// Tells a starting page whether a session cookie may exist, and tells other tabs when the session ends.
export const SIGNED_IN_KEY = 'modelyard.signed-in'

let pending = localStorage.getItem(SIGNED_IN_KEY) === null ? undefined : postSession('refresh', {})

/** Return the response of the early refresh, to the first caller only; otherwise undefined. */
export function takeEarlyRefresh(): Promise<Response> | undefined {
  const answer = pending
  pending = undefined
  return answer
}

/** Send a session request; the refresh token is sent as a cookie. */
export function postSession(operation: string, body: object): Promise<Response> {
  return fetch(`/api/v1/auth/${operation}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Session': 'cookie' },
    body: JSON.stringify(body),
  })
}
