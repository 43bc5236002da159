// Drafts: inspected files with a suggested path, before they are uploaded.

import type { Model } from '@/api/types'
import { inspectInWorker } from '@/features/upload/engine/hashFile'
import { addItem, allItems, findItem, removeItems, updateItem } from '@/features/upload/engine/items'
import { peek, peekSoon, stopPeek } from '@/features/upload/engine/peek'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { findResumeRecord, getCachedHash } from '@/features/upload/engine/resumeStore'
import { getTypeOfPath, suggestPathByFolders, suggestPathByType, withType } from '@/features/upload/engine/suggestPath'
import { findFolderRefusal, type PickedFolder, suggestFolderPath } from '@/features/upload/folders/pickFolders'
import { pairSidecars } from '@/features/upload/sidecars/pairSidecars'

export interface Owner {
  teamId: string
  userId: string
}

/** Add files to the list, except those that are already in it; with a `model`, the file becomes its next version. */
export async function draft(files: PickedFile[], whose: Owner, model?: Model): Promise<number[]> {
  const fresh = files.filter((one) => !isListed(one, whose))
  const ids = fresh.map(
    ({ file, relativePath }) =>
      addItem({
        file,
        relativePath,
        ...whose,
        stage: 'reading',
        path: model?.model_path ?? '',
        replaces: model?.id,
        fingerprint: '',
        sent: 0,
        hashed: 0,
        rate: 0,
        note: '',
      }).id,
  )
  await Promise.all(ids.map(inspectDraft))
  return ids
}

/** Add a folder that becomes one model, or with a `model` its next version, unless it is in the list. */
export async function draftFolder(folder: PickedFolder, whose: Owner, model?: Model): Promise<void> {
  const { name, path: relativePath, files, leftOut } = folder
  const newest = files.reduce((latest, { file }) => Math.max(latest, file.lastModified), 0)
  const file = new File(
    files.map((one) => one.file),
    name,
    { lastModified: newest },
  )
  if (isListed({ file, relativePath }, whose)) return
  const { id } = addItem({
    ...{ file, relativePath, folder: files, leftOut, ...whose, fingerprint: '' },
    ...{ stage: 'draft', refusal: findFolderRefusal(files), replaces: model?.id },
    path: model?.model_path ?? suggestFolderPath(folder),
    ...{ sent: 0, hashed: 0, rate: 0, note: '' },
  })
  await peek(id)
}

async function inspectDraft(id: number): Promise<void> {
  const one = findItem(id)
  if (!one) return
  try {
    const { refusal, detectedType, fingerprint } = await inspectInWorker(one.file)
    const before = findResumeRecord({ ...one, fingerprint })
    const byContent = detectedType && suggestPathByType(detectedType, one.relativePath)
    const suggestion = before?.path ?? suggestPathByFolders(one.relativePath) ?? byContent ?? one.file.name
    const path = one.replaces ? one.path : suggestion
    const replaces = one.replaces ?? before?.replaces
    const hash = getCachedHash(one.file, fingerprint)
    updateItem(id, {
      stage: 'draft',
      refusal,
      fingerprint,
      path,
      hash,
      isBegun: before !== undefined,
      replaces,
      expectedVersion: replaces === before?.replaces ? before?.expectedVersion : undefined,
      versionNote: before?.versionNote,
    })
    await peek(id)
  } catch {
    updateItem(id, { stage: 'draft', refusal: 'The file cannot be read.' })
  }
}

export function setPath(id: number, path: string): void {
  const other = { existing: undefined, newest: undefined, replaces: undefined, expectedVersion: undefined }
  updateItem(id, { path, ...other, freePath: undefined, problem: undefined })
  peekSoon(id)
}

export function setType(id: number, modelType: string): void {
  const one = findItem(id)
  if (one) setPath(id, withType(one.path, modelType))
}

/** Give drafts the pictures and details of their names; returns those that belong to none. */
export function pairWithDrafts(files: PickedFile[], { teamId }: Owner): PickedFile[] {
  const drafts = allItems().filter(
    (one) => one.teamId === teamId && (one.stage === 'reading' || one.stage === 'draft') && !one.refusal,
  )
  const { pairs, alone } = pairSidecars(drafts, files)
  for (const [{ id, folder }, { picture, details }] of pairs) {
    if (picture) updateItem(id, { picture: picture.file })
    // Those that exist are about single files.
    if (details.length > 0 && !folder) updateItem(id, { detailFiles: details.map(({ file }) => file) })
  }
  return alone
}

export function removePicture(id: number): void {
  updateItem(id, { picture: undefined })
}

export function removeDetails(id: number): void {
  updateItem(id, { detailFiles: undefined })
}

/** Accept a type that is not known, for all drafts that have it. */
export function acceptType(modelType: string): void {
  for (const { id, stage, path } of allItems()) {
    if (stage === 'draft' && getTypeOfPath(path) === modelType) updateItem(id, { acceptedType: modelType })
  }
}

/** Make the file the next version of the model at its path. */
export function makeNextVersion(id: number): void {
  const one = findItem(id)
  updateItem(id, { replaces: one?.existing?.id, expectedVersion: one?.newest?.version, isOvertaken: undefined })
}

export function setVersionNote(id: number, versionNote: string): void {
  updateItem(id, { versionNote })
}

export function discard(ids: readonly number[]): void {
  for (const id of ids) stopPeek(id)
  removeItems(ids)
}

function isListed({ file, relativePath }: PickedFile, { teamId }: Owner): boolean {
  return allItems().some(
    (one) =>
      one.teamId === teamId &&
      one.relativePath === relativePath &&
      one.file.size === file.size &&
      one.file.lastModified === file.lastModified &&
      one.stage !== 'done' &&
      one.stage !== 'failed',
  )
}
