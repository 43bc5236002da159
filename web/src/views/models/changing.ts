// What people do to a model, each with what takes it back. Lists are asked for again by whoever does them.

import { answered, api } from '@/api/client'
import { Problem } from '@/api/problem'
import type { Model, ModelChange } from '@/api/types'
import type { Undo } from '@/parts/several'
import { type ReadModel, readModel } from '@/views/models/asking'

const AGAIN = 2

/** Change fields of a record, if it still is what its reader saw. */
export async function change(id: string, fields: ModelChange, etag?: string): Promise<void> {
  await answered(
    api.PUT('/api/v1/models/{model_id}', {
      params: { path: { model_id: id }, header: etag ? { 'if-match': etag } : {} },
      // Absent fields stay as they are; the generated type has the defaults of all.
      body: fields as Required<ModelChange>,
    }),
  )
}

export async function remove(model: Model): Promise<Undo> {
  await answered(api.DELETE('/api/v1/models/{model_id}', { params: { path: { model_id: model.id } } }))
  return () => restore(model)
}

export async function restore(model: Model): Promise<Undo> {
  await answered(api.POST('/api/v1/models/{model_id}/restore', { params: { path: { model_id: model.id } } }))
  return () => remove(model)
}

/** Enable or disable; nothing to take back where it was so already. */
export async function setStatus(model: Model, model_status: Model['model_status']): Promise<Undo> {
  await change(model.id, { model_status })
  return () => change(model.id, { model_status: model.model_status })
}

export interface WordChange {
  field: 'tags' | 'required_labels'
  add: string[]
  drop: string[]
}

/** Add words to a record and take others away, whatever else it has and whoever changes it meanwhile. */
export async function changeWords(model: Model, { field, add, drop }: WordChange): Promise<Undo> {
  await changeAsRead(model.id, (now) => ({ [field]: withWords(now[field], add, drop) }))
  const added = add.filter((word) => !model[field].includes(word))
  const dropped = drop.filter((word) => model[field].includes(word))
  return () => changeAsRead(model.id, (now) => ({ [field]: withWords(now[field], dropped, added) }))
}

function withWords(words: string[], add: string[], drop: string[]): string[] {
  return [...words.filter((word) => !drop.includes(word)), ...add.filter((word) => !words.includes(word))]
}

async function changeAsRead(id: string, fields: (now: Model) => ModelChange): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const read: ReadModel = await readModel(id)
    try {
      return await change(id, fields(read.model), read.etag)
    } catch (error) {
      const isStale = error instanceof Problem && error.status === 412
      if (!isStale || tries === AGAIN) throw error
    }
  }
}

/** Have the browser fetch the file, under its own name. */
export async function download(model: Model): Promise<void> {
  const ticket = await answered(
    api.GET('/api/v1/models/{model_id}/download', {
      params: { path: { model_id: model.id }, query: { redirect: false } },
    }),
  )
  const link = document.createElement('a')
  link.href = ticket.download_url
  link.download = model.model_path.split('/').at(-1) ?? ''
  link.click()
}
