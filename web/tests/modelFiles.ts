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

/** Build a LoRA with one layer, whose shape is that of SDXL. */
export function buildSdxlLora(): Buffer {
  const layer = 'lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k'
  const tensors = {
    [`${layer}.lora_down.weight`]: { dtype: 'F16', shape: [4, 2048], data_offsets: [0, 16_384] },
    [`${layer}.lora_up.weight`]: { dtype: 'F16', shape: [640, 4], data_offsets: [16_384, 21_504] },
  }
  const header = Buffer.from(JSON.stringify(tensors))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, randomBytes(21_504)])
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
  const file_hash = hashFile(bytes)
  const storage_key = await uploadFile(registry, by, model_path, bytes, {
    file_name,
    ...(facts.replaces !== undefined && { replaces: facts.replaces }),
  })
  const created = await registry.call<{ id: string }>(by, 'POST', '/models', {
    display_name: file_name.replace(/\.\w+$/, ''),
    storage_key,
    ...describeFile(model_path, bytes),
    ...facts,
  })
  return { id: created.id, file_hash }
}

/** Upload a file without registering it, unless the team has it; return its storage key. */
export async function uploadFile(
  registry: Registry,
  by: Person,
  model_path: string,
  bytes: Buffer,
  facts: { file_name: string; [fact: string]: unknown },
): Promise<string> {
  const sent = { ...describeFile(model_path, bytes), ...facts }
  const ticket = await registry.call<Ticket>(by, 'POST', '/models/presign', sent)
  if (!ticket.already_stored) {
    const put = await fetch(ticket.upload_url, {
      method: 'PUT',
      headers: omitContentLength(ticket.upload_headers),
      body: new Uint8Array(bytes),
    })
    if (!put.ok) throw new Error(`PUT: ${put.status} ${await put.text()}`)
  }
  return ticket.storage_key
}

export function hashFile(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function describeFile(model_path: string, bytes: Buffer) {
  const model_type = model_path.replace(/^models\//, '').split('/')[0]
  return { model_type, model_path, file_size: bytes.length, file_hash: hashFile(bytes) }
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
