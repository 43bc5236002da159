// API requests of uploads. Each names its team, because the page may show another team meanwhile.

import { api, unwrap } from '@/api/client'
import { cleanName } from '@/api/names'
import { Problem } from '@/api/problem'
import { readRecords } from '@/api/readRecords'
import { isProblemBody } from '@/api/session'
import type { Model, ModelVersion } from '@/api/types'
import { Coalescer } from '@/features/upload/engine/Coalescer'
import { checkPath } from '@/features/upload/engine/checkPath'
import type { Item, NewestVersion } from '@/features/upload/engine/items'
import { getTypeOfPath } from '@/features/upload/engine/suggestPath'
import type { SidecarDetails } from '@/features/upload/sidecars/readDetails'
import { MAX_LONG_NAME_LENGTH } from '@/generated/fieldLimits'
import { MAX_BATCH_ITEMS, MAX_PAGE_ROWS } from '@/generated/paging'
import type { components } from '@/generated/schema'

export interface SignedUrl {
  url: string
  headers: Record<string, string>
}

export interface UploadTicket extends SignedUrl {
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

export interface StoredPart extends Part {
  size: number
}

/** Details for all models of an upload; empty ones are not sent. */
export interface SharedDetails {
  tags: string[]
  requiredLabels: string[]
  description: string
}

export const NO_DETAILS: SharedDetails = { tags: [], requiredLabels: [], description: '' }

const teamHeader = (teamId: string) => ({ header: { 'X-Team-ID': teamId } })

/** A file to presign: of an upload, or of a folder whose path is `path`. */
export interface FileToSend extends Pick<Item, 'teamId' | 'file' | 'path' | 'hash' | 'replaces'> {
  isInFolder?: boolean
  /** Of an earlier ticket for this file, requested without its hash. */
  storageKey?: string | undefined
}

const presigns = new Coalescer<FileToSend, UploadTicket>(getTeam, presignOne, presignMany, MAX_BATCH_ITEMS)

/** Request a presigned URL to upload a file to; files that are asked for at the same time share a request. */
export function presign(one: FileToSend): Promise<UploadTicket> {
  return presigns.ask(one)
}

async function presignOne(one: FileToSend): Promise<UploadTicket> {
  const body = buildUploadRequest(one)
  return toTicket(await unwrap(api.POST('/api/v1/models/presign', { params: teamHeader(one.teamId), body })))
}

async function presignMany(items: FileToSend[]): Promise<(UploadTicket | Problem)[]> {
  const body = { upload_list: items.map(buildUploadRequest) }
  const params = teamHeader(items[0]?.teamId ?? '')
  const { result_list } = await unwrap(api.POST('/api/v1/models/presign-batch', { params, body }))
  return result_list.map((result) => (isProblemBody(result) ? new Problem(result) : toTicket(result)))
}

function buildUploadRequest(one: FileToSend) {
  return {
    file_name: toPrintable(one.file.name),
    ...getFileFields(one),
    ...(one.hash && { file_hash: one.hash }),
    ...(one.replaces && { replaces: one.replaces }),
    ...(one.isInFolder && { is_folder: true }),
    ...(one.storageKey && { storage_key: one.storageKey }),
  }
}

function toTicket(ticket: components['schemas']['UploadTicket']): UploadTicket {
  return {
    url: ticket.upload_url,
    headers: ticket.upload_headers,
    storageKey: ticket.storage_key,
    expiresAt: Date.parse(ticket.expires_at),
    inParts: ticket.multipart_recommended,
    isStored: ticket.already_stored,
    hashFirst: ticket.hash_first,
  }
}

function getTeam({ teamId }: { teamId: string }): string {
  return teamId
}

export function initiateMultipart(storage_key: string, file_size: number) {
  return unwrap(api.POST('/api/v1/uploads/multipart/initiate', { body: { storage_key, file_size } }))
}

export async function presignParts(upload: Multipart, part_numbers: number[]): Promise<Map<number, SignedUrl>> {
  const body = { ...upload, part_numbers }
  const { part_list } = await unwrap(api.POST('/api/v1/uploads/multipart/presign', { body }))
  return new Map(part_list.map((one) => [one.part_number, { url: one.upload_url, headers: one.upload_headers }]))
}

export async function listStoredParts(upload: Multipart) {
  return (await unwrap(api.GET('/api/v1/uploads/multipart/parts', { params: { query: upload } }))).part_list
}

export async function completeMultipart(upload: Multipart, part_list: Part[]): Promise<void> {
  await unwrap(api.POST('/api/v1/uploads/multipart/complete', { body: { ...upload, part_list } }))
}

export async function abortMultipart(upload: Multipart): Promise<void> {
  await unwrap(api.POST('/api/v1/uploads/multipart/abort', { body: upload }))
}

/** The key and hash of stored content, and what a file beside it declares. */
interface StoredContent {
  storageKey: string
  hash: string
  details: SidecarDetails | undefined
}

/** Register the stored file. Idempotent: repeating it returns the same id. The response says what was not applied. */
export async function registerModel(
  one: Item,
  { storageKey, hash, details }: StoredContent,
  notes: SharedDetails,
): Promise<components['schemas']['RegisteredModel']> {
  const name = cleanName(one.folder ? one.file.name : one.file.name.replace(/(.)\.[^.]*$/, '$1'))
  const body = {
    // A registry that does not know `keeps_name` sets the name that is sent.
    display_name: (one.replaces && one.existing?.display_name) || name,
    keeps_name: true,
    storage_key: storageKey,
    file_hash: hash,
    ...getFileFields(one),
    ...(details && { sidecar: buildSidecar(details) }),
    ...(one.storedFolder && { file_size: one.storedFolder.manifestSize, file_list: one.storedFolder.fileList }),
    ...(one.replaces && { replaces: one.replaces }),
    ...(one.replaces && one.expectedVersion && { expected_version: one.expectedVersion }),
    ...(one.replaces && one.versionNote && { note: one.versionNote }),
    ...(notes.tags.length > 0 && { tags: notes.tags }),
    ...(notes.requiredLabels.length > 0 && { required_labels: notes.requiredLabels }),
    ...(notes.description && { description: notes.description }),
  }
  return unwrap(api.POST('/api/v1/models', { params: teamHeader(one.teamId), body }))
}

export function getModel(teamId: string, model_id: string): Promise<Model> {
  return unwrap(api.GET('/api/v1/models/{model_id}', { params: { path: { model_id }, ...teamHeader(teamId) } }))
}

async function listVersions(
  teamId: string,
  model_id: string,
  query: { per_page: number; deleted?: boolean },
): Promise<ModelVersion[]> {
  const asked = api.GET('/api/v1/models/{model_id}/versions', {
    params: { path: { model_id }, query: { cursor: '', ...query }, ...teamHeader(teamId) },
  })
  return (await unwrap(asked)).version_list
}

/** Find the newest version of a model. Numbers of versions in the trash are not used again. */
export async function findNewestVersion(teamId: string, modelId: string): Promise<NewestVersion | undefined> {
  const [[newest], [deleted]] = await Promise.all([
    listVersions(teamId, modelId, { per_page: 1 }),
    listVersions(teamId, modelId, { per_page: 1, deleted: true }),
  ])
  return newest && { ...newest, next: Math.max(newest.version, deleted?.version ?? 0) + 1 }
}

/** Find the newest version of a model with this content. */
export async function findVersionByHash(
  teamId: string,
  modelId: string,
  hash: string | undefined,
): Promise<ModelVersion | undefined> {
  const versions = await listVersions(teamId, modelId, { per_page: MAX_PAGE_ROWS })
  return versions.find(({ file_hash }) => file_hash === hash)
}

export function getVersion(teamId: string, model_id: string, version: number): Promise<ModelVersion> {
  return unwrap(
    api.GET('/api/v1/models/{model_id}/versions/{version}', {
      params: { path: { model_id, version }, ...teamHeader(teamId) },
    }),
  )
}

interface PathQuestion {
  teamId: string
  relative: string
}

const pathQuestions = new Coalescer(getTeam, async (one) => (await findMany([one]))[0], findMany, MAX_BATCH_ITEMS)

/** Find the model at this path, or at a path that is the same file on some file system. */
export async function findModelAt(teamId: string, path: string): Promise<Model | undefined> {
  return pathQuestions.ask({ teamId, relative: checkPath(getTypeOfPath(path), path).relative })
}

async function findMany(questions: PathQuestion[]): Promise<(Model | undefined)[]> {
  const paths = [...new Set(questions.map(({ relative }) => relative))]
  const teamId = questions[0]?.teamId ?? ''
  const params = teamHeader(teamId)
  const body = { paths, records: true }
  const { match_list, model_list } = await unwrap(api.POST('/api/v1/models/lookup', { params, body }))
  const models = new Map(model_list?.map((model) => [model.id, model]))
  const missing = match_list.map(({ id }) => id).filter((id) => !models.has(id))
  for (const [id, model] of await readRecords(missing, { teamId })) models.set(id, model)
  const found = new Map(match_list.map((match) => [match.asked, models.get(match.id)]))
  return questions.map(({ relative }) => found.get(relative))
}

function buildSidecar({ baseModel, triggerWords, license, author }: SidecarDetails) {
  return {
    base_model: baseModel ?? null,
    trigger_words: triggerWords,
    license: license ?? null,
    author: author ?? null,
  }
}

function getFileFields({ file, path }: Pick<Item, 'file' | 'path'>) {
  return { file_size: file.size, model_type: getTypeOfPath(path), model_path: path }
}

/** Replace characters that the registry does not allow in file names: control characters and lone surrogates. */
function toPrintable(name: string): string {
  return name.replace(/[\p{Cc}\p{Cs}]/gu, '_').slice(0, MAX_LONG_NAME_LENGTH)
}
