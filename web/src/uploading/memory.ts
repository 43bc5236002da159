// What outlives a reload: uploads that were begun, and hashes of files. Never a name of a person, never a token.
//
//     modelyard.upload.<team> <name> <size> <time>   an upload that is not finished
//     modelyard.hash.<name> <size> <time>            a file's SHA-256, with a fingerprint of the file

import type { Notes, Part } from '@/uploading/asking'
import type { Halfway } from '@/uploading/hashing'
import type { Item } from '@/uploading/state'

const UPLOAD = 'modelyard.upload.'
const HASH = 'modelyard.hash.'
const MOST_HASHES = 500
// The registry forgets an upload after some days; so does the page.
const KEPT_MILLISECONDS = 30 * 86_400_000
// A tab that sends says so this often; one that has not for three times as long is gone.
export const BEAT_MILLISECONDS = 3_000

export interface Unfinished {
  teamId: string
  name: string
  size: number
  lastModified: number
  fingerprint: string
  path: string
  replaces?: string | undefined
  /** What was typed for all files of that upload. */
  notes: Notes
  storageKey: string
  uploadId: string
  partSize: number
  /** All parts, once all were sent: from then on the store need only make them one. */
  sent?: Part[] | undefined
  /** The hash half way, base64. */
  halfway?: { done: number; state: string } | undefined
  begun: number
  /** Which tab sends it, and when it last said so. */
  tab: string
  beat: number
}

/** This tab, among those of one browser. */
export const TAB = Math.random().toString(36).slice(2)

type Known = Pick<Item, 'file' | 'teamId' | 'fingerprint'>

/** The upload of this very file that was begun before. */
export function unfinishedOf(one: Known): Unfinished | undefined {
  const found = read<Unfinished>(uploadKey(one))
  return found?.fingerprint === one.fingerprint ? found : undefined
}

export function keep(one: Known, unfinished: Unfinished): void {
  write(uploadKey(one), unfinished)
}

export function forget(one: Known): void {
  localStorage.removeItem(uploadKey(one))
}

export function forgetUnfinished({ teamId, name, size, lastModified }: Unfinished): void {
  localStorage.removeItem(UPLOAD + [teamId, name, size, lastModified].join(' '))
}

export function isElsewhere(unfinished: Unfinished): boolean {
  return unfinished.tab !== TAB && Date.now() - unfinished.beat < 3 * BEAT_MILLISECONDS
}

/** All that were begun in a team, the newest first. */
export function allUnfinished(teamId: string): Unfinished[] {
  const found = keys(UPLOAD + teamId).flatMap((key) => read<Unfinished>(key) ?? [])
  const old = found.filter((one) => one.begun < Date.now() - KEPT_MILLISECONDS)
  for (const one of old) forgetUnfinished(one)
  return found.filter((one) => !old.includes(one)).sort((a, b) => b.begun - a.begun)
}

export function knownHash(file: File, fingerprint: string): string | undefined {
  const known = read<{ fingerprint: string; hash: string }>(hashKey(file))
  return known?.fingerprint === fingerprint ? known.hash : undefined
}

export function keepHash(file: File, fingerprint: string, hash: string): void {
  const known = keys(HASH)
  if (known.length >= MOST_HASHES) for (const key of known.slice(0, MOST_HASHES / 2)) localStorage.removeItem(key)
  write(hashKey(file), { fingerprint, hash })
}

export function forgetHash(file: File): void {
  localStorage.removeItem(hashKey(file))
}

export function packed({ done, state }: Halfway): { done: number; state: string } {
  return { done, state: btoa(String.fromCharCode(...state)) }
}

export function unpacked(kept: { done: number; state: string } | undefined): Halfway | undefined {
  return kept && { done: kept.done, state: Uint8Array.from(atob(kept.state), (letter) => letter.charCodeAt(0)) }
}

function uploadKey({ file, teamId }: Known): string {
  return UPLOAD + [teamId, file.name, file.size, file.lastModified].join(' ')
}

function hashKey(file: File): string {
  return HASH + [file.name, file.size, file.lastModified].join(' ')
}

function keys(start: string): string[] {
  return Object.keys(localStorage).filter((key) => key.startsWith(start))
}

function read<Kept>(key: string): Kept | undefined {
  try {
    return (JSON.parse(localStorage.getItem(key) ?? 'null') as Kept | null) ?? undefined
  } catch {
    return undefined
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value))
  } catch {
    // A full memory costs the resume after a reload, and nothing else.
  }
}
