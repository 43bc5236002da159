// Changes to a model, each with its undo. The caller refreshes lists.

import { api, unwrap } from '@/api/client'
import { Problem } from '@/api/problem'
import type { Undo } from '@/api/runBatch'
import type { Model, ModelUpdate } from '@/api/types'
import { notify } from '@/components/notify'
import { type ReadModel, readModel } from '@/features/models/queries'

const MAX_RETRIES = 2

/** Change fields of a record; with an ETag, only if it is still current. */
export async function updateModel(id: string, fields: ModelUpdate, etag?: string): Promise<void> {
  await unwrap(
    api.PUT('/api/v1/models/{model_id}', {
      params: { path: { model_id: id }, header: etag ? { 'if-match': etag } : {} },
      body: fields,
    }),
  )
}

/** Convert a pickle file to a new model beside it; the registry continues by itself, and the imports show how far it is. */
export async function convert(model: Model): Promise<void> {
  const started = await unwrap(
    api.POST('/api/v1/models/{model_id}/convert', { params: { path: { model_id: model.id } } }),
  )
  notify(
    started.import_id
      ? `The registry converts the file to ${started.model_path}. The uploads show its progress.`
      : `The file was converted before: ${started.model_path}.`,
  )
}

/** Move a model to the trash; only with `force` if machines hold it by a pinned collection. */
export async function deleteModel(model: Model, force = false): Promise<Undo> {
  const query = force ? { force } : {}
  await unwrap(api.DELETE('/api/v1/models/{model_id}', { params: { path: { model_id: model.id }, query } }))
  return () => restoreModel(model)
}

export async function restoreModel(model: Model): Promise<Undo> {
  await unwrap(api.POST('/api/v1/models/{model_id}/restore', { params: { path: { model_id: model.id } } }))
  return () => deleteModel(model, true)
}

/** Enable or disable a model; undo restores the previous status. */
export async function setStatus(model: Model, model_status: Model['model_status']): Promise<Undo> {
  await updateModel(model.id, { model_status })
  return () => updateModel(model.id, { model_status: model.model_status })
}

export interface TagChange {
  field: 'tags' | 'required_labels'
  add: string[]
  remove: string[]
}

/** Add and remove tags or labels, keeping other values and concurrent changes. */
export async function changeTags(model: Model, { field, add, remove }: TagChange): Promise<Undo> {
  await updateLatest(model.id, (now) => ({ [field]: applyTagChange(field, now[field], add, remove) }))
  const added = add.filter((word) => !hasWord(field, model[field], word))
  const dropped = model[field].filter((word) => hasWord(field, remove, word))
  return () => updateLatest(model.id, (now) => ({ [field]: applyTagChange(field, now[field], dropped, added) }))
}

function applyTagChange(field: TagChange['field'], words: string[], add: string[], drop: string[]): string[] {
  const left = words.filter((word) => !hasWord(field, drop, word))
  return [...left, ...add.filter((word) => !hasWord(field, words, word))]
}

/** Return whether a word is among others: labels exactly, tags in any letter case, as the registry compares them. */
function hasWord(field: TagChange['field'], words: string[], word: string): boolean {
  if (field === 'required_labels') return words.includes(word)
  return words.some((other) => foldTag(other) === foldTag(word))
}

/** Return what all spellings of a tag share; older releases stored spaces around tags. */
const foldTag = (tag: string) => tag.trim().toLowerCase()

async function updateLatest(id: string, fields: (now: Model) => ModelUpdate): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const read: ReadModel = await readModel(id)
    try {
      return await updateModel(id, fields(read.model), read.etag)
    } catch (error) {
      const isStale = error instanceof Problem && error.status === 412
      if (!isStale || tries === MAX_RETRIES) throw error
    }
  }
}

/** Download the file of a version, by default the current one, with its own name in the browser. */
export async function download(model: Model, version?: number): Promise<void> {
  const ticket = await unwrap(
    api.GET('/api/v1/models/{model_id}/download', {
      params: { path: { model_id: model.id }, query: { redirect: false, ...(version !== undefined && { version }) } },
    }),
  )
  const link = document.createElement('a')
  link.href = ticket.download_url
  link.download = model.model_path.split('/').at(-1) ?? ''
  link.click()
}
