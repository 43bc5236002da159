// Who is signed in. The access token is in memory only; the refresh token is in a cookie that scripts cannot read.

import { useSyncExternalStore } from 'react'
import { postSession, SIGNED_IN_KEY, takeEarlyRefresh } from '@/api/earlyRefresh'
import { Problem, unreachable } from '@/api/problem'
import type { Me, OwnTeam, ProblemBody, Tokens } from '@/api/types'

type Session =
  | { state: 'starting' | 'signed-out' | 'unreachable' }
  | { state: 'signed-in'; me: Me; team: OwnTeam | undefined }

const TEAM_KEY = 'modelyard.team'
const RENEW_EARLY_SECONDS = 60
// If two tabs refresh at once, one is refused; after this time it uses the cookie that the other tab received.
const OTHER_TAB_MILLISECONDS = 400

let session: Session = { state: 'starting' }
let access: { token: string; until: number } | undefined
let refreshing: Promise<string> | undefined
// Number of ended sessions: responses to requests of an ended session are ignored.
let endedSessions = 0
const listeners = new Set<() => void>()

function setSession(next: Session): void {
  session = next
  for (const listener of listeners) listener()
}

export function useSession(): Session {
  return useSyncExternalStore(onSession, currentSession)
}

/** Call the listener on each session change; returns a function that unsubscribes. */
export function onSession(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Call the listener when another person signs in or another team is chosen, before anything is rendered for them. */
export function onIdentityChange(listener: () => void): void {
  let identity = getIdentity()
  onSession(() => {
    const next = getIdentity()
    if (next === identity) return
    identity = next
    listener()
  })
}

function getIdentity(): string {
  return session.state === 'signed-in' ? `${session.me.id} ${session.team?.id}` : ''
}

export function currentSession(): Session {
  return session
}

export function currentTeamId(): string | undefined {
  return session.state === 'signed-in' ? session.team?.id : undefined
}

/** Resume the session of the cookie, if there is one. */
export async function startSession(): Promise<void> {
  window.addEventListener('storage', (event) => {
    if (event.key === SIGNED_IN_KEY && event.newValue === null) clearSession()
  })
  if (localStorage.getItem(SIGNED_IN_KEY) === null) return setSession({ state: 'signed-out' })
  await resumeSession()
}

export async function resumeSession(): Promise<void> {
  try {
    await refreshAccessToken()
    await loadUser()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) clearSession()
    // An attempt that fails late does not end the session that another one resumed.
    else if (session.state !== 'signed-in') setSession({ state: 'unreachable' })
  }
}

export async function signIn(email_address: string, user_password: string): Promise<void> {
  storeTokens(await requestTokens('login', { email_address, user_password }))
  await loadUser()
}

export async function signOut(everywhere = false): Promise<void> {
  const answer = await callSession('logout', { everywhere })
  // 401 means that the session has already ended; any other failure must not look like a sign-out.
  if (!answer.ok && answer.status !== 401) await readBody(answer)
  clearSession()
}

/** Load the user and their teams; the current team stays selected unless another one is given. */
export async function loadUser(chosen = currentTeamId() ?? localStorage.getItem(TEAM_KEY)): Promise<void> {
  const asked = endedSessions
  const answer = await fetch('/api/v1/users/me', { headers: { Authorization: `Bearer ${await getAccessToken()}` } })
  const me = (await readBody(answer)) as Me
  if (asked !== endedSessions) return
  const team = me.team_list.find((one) => one.id === chosen) ?? me.team_list[0]
  setSession({ state: 'signed-in', me, team })
}

/** Switch to a team that was just joined or created. */
export async function enterTeam(teamId: string): Promise<void> {
  localStorage.setItem(TEAM_KEY, teamId)
  await loadUser(teamId)
}

export function chooseTeam(team: OwnTeam): void {
  if (session.state !== 'signed-in') return
  localStorage.setItem(TEAM_KEY, team.id)
  setSession({ ...session, team })
}

/** Return a token that is valid for at least another minute. */
export async function getAccessToken(): Promise<string> {
  return access && access.until > Date.now() ? access.token : refreshAccessToken()
}

/** Return a new token even if the current one is valid; concurrent callers share one refresh. */
export function refreshAccessToken(): Promise<string> {
  refreshing ??= refresh().finally(() => {
    refreshing = undefined
  })
  return refreshing
}

export function clearSession(): void {
  endedSessions += 1
  access = undefined
  localStorage.removeItem(SIGNED_IN_KEY)
  setSession({ state: 'signed-out' })
}

async function refresh(): Promise<string> {
  const [asked, before] = [endedSessions, access]
  try {
    const tokens = await requestRefresh()
    if (asked !== endedSessions) throw unreachable(401)
    return storeTokens(tokens)
  } catch (error) {
    // A late refusal of a session that ended does not end the one of a sign-in meanwhile.
    if (access && access !== before) return access.token
    throw error
  }
}

async function requestRefresh(): Promise<Tokens> {
  try {
    return await requestTokens('refresh', {})
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) throw error
    await new Promise((passed) => setTimeout(passed, OTHER_TAB_MILLISECONDS))
    return requestTokens('refresh', {})
  }
}

function storeTokens(tokens: Tokens): string {
  access = { token: tokens.access_token, until: Date.now() + (tokens.expires_in - RENEW_EARLY_SECONDS) * 1000 }
  localStorage.setItem(SIGNED_IN_KEY, '1')
  return tokens.access_token
}

async function requestTokens(operation: 'login' | 'refresh', body: object): Promise<Tokens> {
  return (await readBody(await callSession(operation, body))) as Tokens
}

async function callSession(operation: string, body: object): Promise<Response> {
  const early = operation === 'refresh' ? takeEarlyRefresh() : undefined
  return (early ?? postSession(operation, body)).catch(() => {
    throw unreachable()
  })
}

async function readBody(answer: Response): Promise<unknown> {
  const body: unknown = await answer.json().catch(() => undefined)
  if (answer.ok && body !== undefined) return body
  throw isProblemBody(body) ? new Problem(body) : unreachable(answer.status)
}

export function isProblemBody(body: unknown): body is ProblemBody {
  return typeof body === 'object' && body !== null && 'error_code' in body && 'detail' in body
}
