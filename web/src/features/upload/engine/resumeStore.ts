// Local storage of resume records and file hashes. It never contains names of people or tokens.
//
//     modelyard.upload.<team> <name> <size> <time>   an upload that is not finished
//     modelyard.hash.<name> <size> <time>            a file's SHA-256, with a fingerprint of the file

import type { HashCheckpoint } from '@/features/upload/engine/hashFile'
import type { Item } from '@/features/upload/engine/items'
import type { Part, SharedDetails } from '@/features/upload/engine/requests'

const UPLOAD = 'modelyard.upload.'
const HASH = 'modelyard.hash.'
const MAX_HASHES = 500
// The registry deletes unfinished uploads after some days, and so does the page.
const MAX_AGE_MILLISECONDS = 30 * 86_400_000
// Heartbeat interval of a sending tab; a tab without one for three intervals is gone.
export const HEARTBEAT_MILLISECONDS = 3_000

export interface ResumeRecord {
  teamId: string
  name: string
  size: number
  lastModified: number
  fingerprint: string
  path: string
  replaces?: string | undefined
  expectedVersion?: number | undefined
  versionNote?: string | undefined
  /** Details for all files of that upload. */
  notes: SharedDetails
  storageKey: string
  uploadId: string
  partSize: number
  /** All parts, if all are stored and the upload only has to be completed. */
  sent?: Part[] | undefined
  /** The hash checkpoint, base64. */
  halfway?: { done: number; state: string } | undefined
  begun: number
  /** The tab that sends the file, and its last heartbeat. */
  tab: string
  beat: number
}

/** The id of this tab. */
export const TAB_ID = Math.random().toString(36).slice(2)

type FileIdentity = Pick<Item, 'file' | 'teamId' | 'fingerprint'>

/** Find the resume record of this file. */
export function findResumeRecord(one: FileIdentity): ResumeRecord | undefined {
  const found = read<ResumeRecord>(uploadKey(one))
  return found?.fingerprint === one.fingerprint ? found : undefined
}

export function saveResumeRecord(one: FileIdentity, unfinished: ResumeRecord): void {
  write(uploadKey(one), unfinished)
}

export function deleteResumeRecordOf(one: FileIdentity): void {
  localStorage.removeItem(uploadKey(one))
}

export function deleteResumeRecord({ teamId, name, size, lastModified }: ResumeRecord): void {
  localStorage.removeItem(UPLOAD + [teamId, name, size, lastModified].join(' '))
}

export function isActiveElsewhere(unfinished: ResumeRecord): boolean {
  return unfinished.tab !== TAB_ID && Date.now() - unfinished.beat < 3 * HEARTBEAT_MILLISECONDS
}

/** List the resume records of a team, newest first; expired ones are deleted. */
export function listResumeRecords(teamId: string): ResumeRecord[] {
  const found = keys(UPLOAD + teamId).flatMap((key) => read<ResumeRecord>(key) ?? [])
  const old = found.filter((one) => one.begun < Date.now() - MAX_AGE_MILLISECONDS)
  for (const one of old) deleteResumeRecord(one)
  return found.filter((one) => !old.includes(one)).sort((a, b) => b.begun - a.begun)
}

export function getCachedHash(file: File, fingerprint: string): string | undefined {
  const known = read<{ fingerprint: string; hash: string }>(hashKey(file))
  return known?.fingerprint === fingerprint ? known.hash : undefined
}

export function cacheHash(file: File, fingerprint: string, hash: string): void {
  const known = keys(HASH)
  if (known.length >= MAX_HASHES) for (const key of known.slice(0, MAX_HASHES / 2)) localStorage.removeItem(key)
  write(hashKey(file), { fingerprint, hash })
}

export function deleteCachedHash(file: File): void {
  localStorage.removeItem(hashKey(file))
}

export function encodeCheckpoint({ done, state }: HashCheckpoint): { done: number; state: string } {
  return { done, state: btoa(String.fromCharCode(...state)) }
}

export function decodeCheckpoint(kept: { done: number; state: string } | undefined): HashCheckpoint | undefined {
  return kept && { done: kept.done, state: Uint8Array.from(atob(kept.state), (letter) => letter.charCodeAt(0)) }
}

function uploadKey({ file, teamId }: FileIdentity): string {
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
    // If storage is full, only resuming after a reload is lost.
  }
}
