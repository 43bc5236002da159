// Uploads of an earlier visit: how much of them the registry holds, and giving one up.

import { Problem } from '@/api/problem'
import { abort, heldParts } from '@/uploading/asking'
import { allUnfinished, forgetUnfinished, isElsewhere, type Unfinished } from '@/uploading/memory'
import type { Item } from '@/uploading/state'

export interface Left extends Unfinished {
  /** Bytes that the registry holds. */
  held: number
}

/** What was begun before and is neither in this page's list nor another tab's; what the registry gave up is forgotten. */
export async function leftOver(teamId: string, items: readonly Item[]): Promise<Left[]> {
  const here = items.filter((one) => one.stage !== 'done')
  const isHere = (one: Unfinished) =>
    here.some(({ file }) => file.name === one.name && file.size === one.size && file.lastModified === one.lastModified)
  const left = allUnfinished(teamId).filter((one) => !isHere(one) && !isElsewhere(one))
  return (await Promise.all(left.map(withHeld))).filter((one) => one !== undefined)
}

async function withHeld(one: Unfinished): Promise<Left | undefined> {
  if (one.sent) return { ...one, held: one.size }
  try {
    const parts = await heldParts({ storage_key: one.storageKey, upload_id: one.uploadId })
    return { ...one, held: parts.reduce((sum, part) => sum + part.size, 0) }
  } catch (error) {
    if (!(error instanceof Problem && error.status === 404)) throw error
    forgetUnfinished(one)
    return undefined
  }
}

export async function giveUp(one: Unfinished): Promise<void> {
  await abort({ storage_key: one.storageKey, upload_id: one.uploadId })
  forgetUnfinished(one)
}

export function isSameFile(one: Pick<File, 'name' | 'size' | 'lastModified'>, file: File): boolean {
  return file.name === one.name && file.size === one.size && file.lastModified === one.lastModified
}
