// Files before they are sent: examined, given a path, and looked up.

import { examine } from '@/uploading/hashing'
import { look, lookSoon, stopLooking } from '@/uploading/looking'
import { knownHash, unfinishedOf } from '@/uploading/memory'
import type { Picked } from '@/uploading/picking'
import { pathByFolders, pathUnder, retyped } from '@/uploading/placing'
import { added, allItems, change, item, remove } from '@/uploading/state'

export interface Whose {
  teamId: string
  userId: string
}

/** Take files into the list; the ones that are there already are not taken twice. */
export async function draft(files: Picked[], whose: Whose): Promise<number[]> {
  const fresh = files.filter((one) => !isListed(one, whose))
  const ids = fresh.map(
    ({ file, around }) =>
      added({
        file,
        around,
        ...whose,
        stage: 'reading',
        path: '',
        fingerprint: '',
        sent: 0,
        hashed: 0,
        rate: 0,
        note: '',
      }).id,
  )
  await Promise.all(ids.map(examineDraft))
  return ids
}

async function examineDraft(id: number): Promise<void> {
  const one = item(id)
  if (!one) return
  try {
    const { refusal, guessedType, fingerprint } = await examine(one.file)
    const before = unfinishedOf({ ...one, fingerprint })
    const byContent = guessedType && pathUnder(guessedType, one.around)
    const path = before?.path ?? pathByFolders(one.around) ?? byContent ?? one.file.name
    const hash = knownHash(one.file, fingerprint)
    change(id, {
      stage: 'draft',
      refusal,
      fingerprint,
      path,
      hash,
      isBegun: before !== undefined,
      replaces: before?.replaces,
    })
    await look(id)
  } catch {
    change(id, { stage: 'draft', refusal: 'The file cannot be read.' })
  }
}

export function setPath(id: number, path: string): void {
  change(id, { path, holder: undefined, freePath: undefined, replaces: undefined, problem: undefined })
  lookSoon(id)
}

export function setType(id: number, modelType: string): void {
  const one = item(id)
  if (one) setPath(id, retyped(one.path, modelType))
}

/** Its bytes shall take the place of those that the holder of the path has now. */
export function replaceHolder(id: number): void {
  change(id, { replaces: item(id)?.holder?.id })
}

export function discard(ids: readonly number[]): void {
  for (const id of ids) stopLooking(id)
  remove(ids)
}

function isListed({ file, around }: Picked, { teamId }: Whose): boolean {
  return allItems().some(
    (one) =>
      one.teamId === teamId &&
      one.around === around &&
      one.file.size === file.size &&
      one.file.lastModified === file.lastModified &&
      one.stage !== 'done' &&
      one.stage !== 'failed',
  )
}
