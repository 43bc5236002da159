// Valid safetensors files, and their upload and registration by the public API.

import { createHash, randomBytes } from 'node:crypto'
import type { Person, Registry } from './registry'

/** Build a valid safetensors file with one tensor of `size` random bytes and the given `__metadata__`. */
export function buildSafetensors(size: number, metadata: Record<string, string> = {}): Buffer {
  const header = Buffer.from(
    JSON.stringify({ __metadata__: metadata, weight: { dtype: 'U8', shape: [size], data_offsets: [0, size] } }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, randomBytes(size)])
}

/** Build a valid safetensors file that verification has to inspect, because its header is larger than 1 MiB. */
export function buildExpensiveSafetensors(): Buffer {
  return buildSafetensors(64, { padding: 'x'.repeat(1_200_000) })
}

export interface RegisteredModel {
  id: string
  file_hash: string
}

/** Upload a file and register it at this path; `facts` are further fields, such as `replaces` for a new version. */
export async function registerModel(
  registry: Registry,
  model_path: string,
  {
    bytes = buildSafetensors(1024),
    by = registry.owner as Person,
    ...facts
  }: { bytes?: Buffer; by?: Person; [fact: string]: unknown } = {},
): Promise<RegisteredModel> {
  const file_name = model_path.split('/').at(-1) ?? ''
  const model_type = model_path.replace(/^models\//, '').split('/')[0]
  const file_hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const what = { model_type, model_path, file_size: bytes.length, file_hash }
  const ticket = await registry.call<Ticket>(by, 'POST', '/models/presign', {
    file_name,
    ...what,
    ...(facts.replaces !== undefined && { replaces: facts.replaces }),
  })
  if (!ticket.already_stored) {
    const put = await fetch(ticket.upload_url, {
      method: 'PUT',
      headers: omitContentLength(ticket.upload_headers),
      body: new Uint8Array(bytes),
    })
    if (!put.ok) throw new Error(`PUT: ${put.status} ${await put.text()}`)
  }
  const display_name = file_name.replace(/\.\w+$/, '')
  const { storage_key } = ticket
  const created = await registry.call<{ id: string }>(by, 'POST', '/models', {
    display_name,
    storage_key,
    ...what,
    ...facts,
  })
  return { id: created.id, file_hash }
}

interface Ticket {
  upload_url: string
  upload_headers: Record<string, string>
  storage_key: string
  already_stored: boolean
}

function omitContentLength(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-length'))
}
