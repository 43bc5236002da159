// What an upload asks of the registry. Each call names its team: the page may show another one meanwhile.

import { answered, api } from '@/api/client'
import type { Model, ModelPage } from '@/api/types'
import { casefold, checkedPath, PathRefused } from '@/uploading/paths'
import { typeOf } from '@/uploading/placing'
import type { Item } from '@/uploading/state'

export interface Signed {
  url: string
  headers: Record<string, string>
}

export interface Ticket extends Signed {
  storageKey: string
  expiresAt: number
  inParts: boolean
  isStored: boolean
  hashFirst: boolean
}

export interface Multipart {
  storage_key: string
  upload_id: string
}

export interface Part {
  part_number: number
  etag: string
}

/** What all models of one upload are said to be; nothing is said that was not typed. */
export interface Notes {
  tags: string[]
  requiredLabels: string[]
  description: string
}

export const NO_NOTES: Notes = { tags: [], requiredLabels: [], description: '' }

const inTeam = (teamId: string) => ({ header: { 'X-Team-ID': teamId } })

export async function presign(one: Item): Promise<Ticket> {
  const ticket = await answered(
    api.POST('/api/v1/models/presign', {
      params: inTeam(one.teamId),
      body: {
        file_name: printable(one.file.name),
        ...whatOf(one),
        ...(one.hash && { file_hash: one.hash }),
        ...(one.replaces && { replaces: one.replaces }),
      },
    }),
  )
  return {
    url: ticket.upload_url,
    headers: ticket.upload_headers,
    storageKey: ticket.storage_key,
    expiresAt: Date.parse(ticket.expires_at),
    inParts: ticket.multipart_required,
    isStored: ticket.already_stored,
    hashFirst: ticket.hash_first,
  }
}

export function begin(storage_key: string, file_size: number) {
  return answered(api.POST('/api/v1/uploads/multipart/initiate', { body: { storage_key, file_size } }))
}

export async function signedParts(upload: Multipart, part_numbers: number[]): Promise<Map<number, Signed>> {
  const body = { ...upload, part_numbers }
  const { part_list } = await answered(api.POST('/api/v1/uploads/multipart/presign', { body }))
  return new Map(part_list.map((one) => [one.part_number, { url: one.upload_url, headers: one.upload_headers }]))
}

export async function heldParts(upload: Multipart) {
  return (await answered(api.GET('/api/v1/uploads/multipart/parts', { params: { query: upload } }))).part_list
}

export async function complete(upload: Multipart, part_list: Part[]): Promise<void> {
  await answered(api.POST('/api/v1/uploads/multipart/complete', { body: { ...upload, part_list } }))
}

export async function abort(upload: Multipart): Promise<void> {
  await answered(api.POST('/api/v1/uploads/multipart/abort', { body: upload }))
}

/** Name the bytes; the same again answers the same id, so a lost answer costs nothing. */
export async function register(one: Item, storage_key: string, file_hash: string, notes: Notes): Promise<string> {
  const name = printable(one.file.name).replace(/(.)\.[^.]*$/, '$1')
  const made = await answered(
    api.POST('/api/v1/models', {
      params: inTeam(one.teamId),
      body: {
        display_name: name,
        storage_key,
        file_hash,
        ...whatOf(one),
        ...(one.replaces && { replaces: one.replaces }),
        ...(notes.tags.length > 0 && { tags: notes.tags }),
        ...(notes.requiredLabels.length > 0 && { required_labels: notes.requiredLabels }),
        ...(notes.description && { description: notes.description }),
      },
    }),
  )
  return made.id
}

export function model(teamId: string, model_id: string): Promise<Model> {
  return answered(api.GET('/api/v1/models/{model_id}', { params: { path: { model_id }, ...inTeam(teamId) } }))
}

/** The model at this path or at one that is the same file somewhere; two spellings of one file are one path. */
export async function modelAt(teamId: string, path: string): Promise<Model | undefined> {
  const { key, relative, canonicalType } = checkedPath(typeOf(path), path)
  const query = { q: relative.split('/').at(-1) ?? '', model_type: canonicalType, per_page: 100 }
  let cursor: string | null | undefined = ''
  while (typeof cursor === 'string') {
    const page: ModelPage = await answered(
      api.GET('/api/v1/models', { params: { query: { ...query, cursor }, ...inTeam(teamId) } }),
    )
    const found = page.model_list.find((one) => keyOf(one) === key)
    if (found) return found
    cursor = page.page_meta.next_cursor
  }
  return undefined
}

function keyOf({ model_type, model_path }: Model): string {
  try {
    return checkedPath(model_type, model_path).key
  } catch (refused) {
    if (refused instanceof PathRefused) return casefold(model_path)
    throw refused
  }
}

function whatOf({ file, path }: Item) {
  return { file_size: file.size, model_type: typeOf(path), model_path: path }
}

/** A file's name may hold what no name of the registry may: control characters, and halves of characters. */
function printable(name: string): string {
  return name.replace(/[\p{Cc}\p{Cs}]/gu, '_').slice(0, 255)
}
