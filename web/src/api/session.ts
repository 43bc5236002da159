// Who is signed in. The access token is in memory only; the refresh token is in a cookie that scripts cannot read.

import { useSyncExternalStore } from 'react'
import { authorization, earlyRefresh, MARK } from '@/api/early'
import { Problem, unreachable } from '@/api/problem'
import type { Me, OwnTeam, ProblemBody, Tokens } from '@/api/types'

type Session =
  | { state: 'starting' | 'signed-out' | 'unreachable' }
  | { state: 'signed-in'; me: Me; team: OwnTeam | undefined }

const TEAM = 'modelyard.team'
const RENEW_EARLY_SECONDS = 60
// Two tabs that renew at once: one is refused, and finds the other's cookie a moment later.
const OTHER_TAB_MILLISECONDS = 400

let session: Session = { state: 'starting' }
let access: { token: string; until: number } | undefined
let renewing: Promise<string> | undefined
// How many sessions have ended: an answer that was asked for in one of them signs nobody in.
let ended = 0
const listeners = new Set<() => void>()

function become(next: Session): void {
  session = next
  for (const listener of listeners) listener()
}

export function useSession(): Session {
  return useSyncExternalStore(onSession, currentSession)
}

/** Hear of each change of the session, until the answer is called. */
export function onSession(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function currentSession(): Session {
  return session
}

export function currentTeamId(): string | undefined {
  return session.state === 'signed-in' ? session.team?.id : undefined
}

/** Continue the session of the cookie, if there is one. */
export async function start(): Promise<void> {
  window.addEventListener('storage', (event) => {
    if (event.key === MARK && event.newValue === null) forget()
  })
  if (localStorage.getItem(MARK) === null) return become({ state: 'signed-out' })
  await resume()
}

export async function resume(): Promise<void> {
  try {
    await renewedToken()
    await learnWhoIAm()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) forget()
    else become({ state: 'unreachable' })
  }
}

export async function signIn(email_address: string, user_password: string): Promise<void> {
  keep(await authorize('login', { email_address, user_password }))
  await learnWhoIAm()
}

export async function signOut(everywhere = false): Promise<void> {
  const answer = await call('logout', { everywhere })
  // Whose session has ended already is out; anything else must not look as if it had.
  if (!answer.ok && answer.status !== 401) await bodyOf(answer)
  forget()
}

/** Read the user and their teams again, after a name or a membership changed; the team stays, unless another is named. */
export async function learnWhoIAm(chosen = currentTeamId() ?? localStorage.getItem(TEAM)): Promise<void> {
  const asked = ended
  const answer = await fetch('/api/v1/users/me', { headers: { Authorization: `Bearer ${await accessToken()}` } })
  const me = (await bodyOf(answer)) as Me
  if (asked !== ended) return
  const team = me.team_list.find((one) => one.id === chosen) ?? me.team_list[0]
  become({ state: 'signed-in', me, team })
}

/** Act in this team from now on: one that was joined or made a moment ago. */
export async function enterTeam(teamId: string): Promise<void> {
  localStorage.setItem(TEAM, teamId)
  await learnWhoIAm(teamId)
}

export function chooseTeam(team: OwnTeam): void {
  if (session.state !== 'signed-in') return
  localStorage.setItem(TEAM, team.id)
  become({ ...session, team })
}

/** A token that lives for another minute at least. */
export async function accessToken(): Promise<string> {
  return access && access.until > Date.now() ? access.token : renewedToken()
}

/** A fresh token, whatever the old one says; those who ask at once share one renewal. */
export function renewedToken(): Promise<string> {
  renewing ??= renew().finally(() => {
    renewing = undefined
  })
  return renewing
}

export function forget(): void {
  ended += 1
  access = undefined
  localStorage.removeItem(MARK)
  become({ state: 'signed-out' })
}

async function renew(): Promise<string> {
  const asked = ended
  const tokens = await refreshed()
  if (asked !== ended) throw unreachable(401)
  return keep(tokens)
}

async function refreshed(): Promise<Tokens> {
  try {
    return await authorize('refresh', {})
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) throw error
    await new Promise((passed) => setTimeout(passed, OTHER_TAB_MILLISECONDS))
    return authorize('refresh', {})
  }
}

function keep(tokens: Tokens): string {
  access = { token: tokens.access_token, until: Date.now() + (tokens.expires_in - RENEW_EARLY_SECONDS) * 1000 }
  localStorage.setItem(MARK, '1')
  return tokens.access_token
}

async function authorize(operation: 'login' | 'refresh', body: object): Promise<Tokens> {
  return (await bodyOf(await call(operation, body))) as Tokens
}

async function call(operation: string, body: object): Promise<Response> {
  const early = operation === 'refresh' ? earlyRefresh() : undefined
  return (early ?? authorization(operation, body)).catch(() => {
    throw unreachable()
  })
}

async function bodyOf(answer: Response): Promise<unknown> {
  const body: unknown = await answer.json().catch(() => undefined)
  if (answer.ok && body !== undefined) return body
  throw isProblem(body) ? new Problem(body) : unreachable(answer.status)
}

export function isProblem(body: unknown): body is ProblemBody {
  return typeof body === 'object' && body !== null && 'error_code' in body && 'detail' in body
}
