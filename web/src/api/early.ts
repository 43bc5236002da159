// Asks to continue the session at once, while the rest of the page is still on its way. Loaded before everything else.

// Tells a starting page whether a cookie may be there, and other tabs that the session has ended.
export const MARK = 'modelyard.signed-in'

let begun = localStorage.getItem(MARK) === null ? undefined : authorization('refresh', {})

/** The answer that was asked for at the start, to whoever comes first; undefined if there is none, or no longer. */
export function earlyRefresh(): Promise<Response> | undefined {
  const answer = begun
  begun = undefined
  return answer
}

/** One request about the session; its refresh token travels in the cookie. */
export function authorization(operation: string, body: object): Promise<Response> {
  return fetch(`/api/v1/auth/${operation}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Session': 'cookie' },
    body: JSON.stringify(body),
  })
}
