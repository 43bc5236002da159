// Changes of collections. Those of models make the next version and can be undone.

import { api, unwrap } from '@/api/client'
import { Problem } from '@/api/problem'
import type { Collection, CollectionUpdate, NewCollection, NewCollectionModel } from '@/api/types'
import { notify, notifyError, notifyUntilClosed, notifyWithUndo } from '@/components/notify'
import { listEntries, mergeEntries } from '@/features/collections/entries'
import { readCollection, refreshCollections } from '@/features/collections/queries'

export async function createCollection(body: NewCollection): Promise<string> {
  const { id } = await unwrap(api.POST('/api/v1/collections', { body }))
  await refreshCollections()
  return id
}

export async function updateCollection(id: string, body: CollectionUpdate): Promise<void> {
  await unwrap(api.PUT('/api/v1/collections/{collection_id}', { params: { path: { collection_id: id } }, body }))
  await refreshCollections()
}

export async function deleteCollection(id: string): Promise<void> {
  await unwrap(api.DELETE('/api/v1/collections/{collection_id}', { params: { path: { collection_id: id } } }))
}

export interface VersionChange {
  models: NewCollectionModel[]
  /** What happened, for the notice. */
  message: string
  /** What is new in the version. */
  note?: string
}

/** Make the next version of a collection and show a notice with undo; returns whether it was saved. */
export async function changeModels(collection: Collection, change: VersionChange): Promise<boolean> {
  try {
    await saveWithUndo(collection, change)
    return true
  } catch (error) {
    await showFailure(collection, error)
    return false
  }
}

/** Add models to the newest version of a collection; those that it has get the version that they have now. */
export async function addModels(id: string, models: NewCollectionModel[], message: string): Promise<void> {
  const collection = await readCollection(id)
  await saveWithUndo(collection, { models: mergeEntries(listEntries(collection.model_list), models), message })
}

async function saveWithUndo(collection: Collection, { models, message, note }: VersionChange): Promise<void> {
  const before = listEntries(collection.model_list)
  const version = await saveVersion(collection, collection.version, models, note)
  await refreshCollections()
  if (version === collection.version) {
    notify(`“${collection.name}” has these models already.`)
    return
  }
  notifyWithUndo(message, async () => {
    await saveVersion(collection, version, before)
    await refreshCollections()
  })
}

async function saveVersion(
  { id }: Collection,
  expected_version: number,
  model_list: NewCollectionModel[],
  note?: string,
): Promise<number> {
  const created = await unwrap(
    api.POST('/api/v1/collections/{collection_id}/versions', {
      params: { path: { collection_id: id } },
      body: { model_list, expected_version, ...(note && { note }) },
    }),
  )
  return created.version
}

/** Say who made a newer version meanwhile, and show that one. */
async function showFailure({ name }: Collection, error: unknown): Promise<void> {
  if (!(error instanceof Problem && error.is('version_conflict'))) {
    notifyError(error)
    return
  }
  const { created_by, version } = error.facts
  notifyUntilClosed(
    `The newest version of “${name}” is ${version}, by ${created_by}. It is shown now, and your change was not saved. Repeat it if it is still needed.`,
  )
  await refreshCollections()
}
