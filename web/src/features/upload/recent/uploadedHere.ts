// Models that this browser uploaded lately. The registry lists a person's new models itself, but not their new versions
// of older ones.

import type { Owner } from '@/features/upload/engine/draft'

const KEY = 'modelyard.uploaded.'
const MAX_KEPT = 100
const MAX_OLDER = 20
export const RECENT_MILLISECONDS = 24 * 3_600_000

interface Uploaded {
  id: string
  at: number
}

export function rememberUploaded(whose: Owner, id: string): void {
  const kept = read(whose).filter((one) => one.id !== id)
  try {
    localStorage.setItem(getKey(whose), JSON.stringify([{ id, at: Date.now() }, ...kept].slice(0, MAX_KEPT)))
  } catch {
    // If storage is full, only the rows of new versions are missing after a reload.
  }
}

export function listUploaded(whose: Owner): string[] {
  return read(whose).map(({ id }) => id)
}

/**
 * List the models that are read one by one: older ones that got a new version.
 *
 * `uploaded` are those that this browser remembers; `itemIds` have them too if its storage is full, but also new models
 * that a capped list leaves out.
 */
export function listOlder(
  own: readonly { id: string }[],
  isCapped: boolean,
  uploaded: readonly string[],
  itemIds: readonly string[],
): string[] {
  const known = new Set(own.map(({ id }) => id))
  const all = new Set(isCapped ? uploaded : [...uploaded, ...itemIds])
  return [...all].filter((id) => !known.has(id)).slice(0, MAX_OLDER)
}

/** The browser may be shared by several people. */
function getKey({ teamId, userId }: Owner): string {
  return `${KEY}${teamId}.${userId}`
}

function read(whose: Owner): Uploaded[] {
  try {
    const kept = JSON.parse(localStorage.getItem(getKey(whose)) ?? '[]') as Uploaded[]
    return kept.filter(({ at }) => at > Date.now() - RECENT_MILLISECONDS)
  } catch {
    return []
  }
}
