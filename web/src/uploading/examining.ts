// What the first bytes of a file say: that it is no model, what kind of model it is, and which file it is.
//
// Only what the registry would refuse is refused here (server/models/content), in about its words. Runs in the worker.

import { createSHA256 } from 'hash-wasm'
import { typeByGguf, typeByTensors } from '@/uploading/guessing'
import { PICKLES, suffixOf } from '@/uploading/placing'

const HEAD = 4096
const MAX_HEADER = 16 * 1024 * 1024
const REFERENCE_MAX_HEADER = 100_000_000
const SAMPLE = 64 * 1024

export interface Examined {
  /** Why the registry would refuse the bytes. */
  refusal: string | undefined
  guessedType: string | undefined
  /** Tells this file from another of the same name, size and time: of a few places in it only. */
  fingerprint: string
}

export async function examined(file: File): Promise<Examined> {
  const head = await bytesOf(file, 0, HEAD)
  const found = await contentOf(file, head)
  return { refusal: found.refusal, guessedType: found.guessedType, fingerprint: await fingerprint(file) }
}

interface Content {
  refusal?: string
  guessedType?: string | undefined
}

async function contentOf(file: File, head: Uint8Array): Promise<Content> {
  if (file.size === 0) return { refusal: 'The file is empty.' }
  const suffix = suffixOf(file.name)
  const isSafetensors = looksLikeSafetensors(head)
  const imposter = isSafetensors ? undefined : imposterIn(head, PICKLES.has(suffix))
  if (imposter) return { refusal: imposter }
  if (suffix === '.safetensors' || suffix === '.sft') return safetensors(file, head)
  const actual = isSafetensors ? 'safetensors' : starts(head, 'GGUF') ? 'gguf' : undefined
  if (actual && suffix !== `.${actual}`) {
    const why = 'programs choose how to load a file by its extension'
    return { refusal: `The content is ${actual}, the extension '${suffix}' promises something else: ${why}.` }
  }
  if (suffix === '.gguf') return actual ? { guessedType: typeByGguf(head) } : { refusal: 'This is no GGUF file.' }
  return {}
}

function looksLikeSafetensors(head: Uint8Array): boolean {
  const length = head.length > 8 ? headerLength(head) : 0
  return length >= 2 && length <= REFERENCE_MAX_HEADER && head[8] === 0x7b
}

async function safetensors(file: File, head: Uint8Array): Promise<Content> {
  if (starts(head, 'GGUF'))
    return { refusal: "The content is gguf, the extension promises safetensors: name it '.gguf'." }
  if (head.length < 8) return { refusal: broken('it is shorter than the 8 bytes with which one begins') }
  const length = headerLength(head)
  if (length > REFERENCE_MAX_HEADER) return { refusal: broken('its first 8 bytes are not the length of a header') }
  if (length > file.size - 8) return { refusal: broken('its header reaches past the end of the file: it is truncated') }
  if (length > MAX_HEADER) {
    return { refusal: `The header has ${length} bytes; the registry reads at most 16 MiB. Remove pictures from it.` }
  }
  const header = parsed(await bytesOf(file, 8, 8 + length))
  if (!header) return { refusal: broken('its header is no JSON') }
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__')
  const lengthRefusal = lengthWrong(tensors, file.size - 8 - length)
  if (lengthRefusal) return { refusal: lengthRefusal }
  return { guessedType: typeByTensors(tensors.map(([name]) => name)) }
}

/** The tensors end where the file ends: what a broken download or a full disk gets wrong. */
function lengthWrong(tensors: [string, unknown][], available: number): string | undefined {
  let end = 0
  for (const [, entry] of tensors) {
    const offsets = (entry as { data_offsets?: unknown } | null)?.data_offsets
    const last: unknown = Array.isArray(offsets) ? offsets[1] : undefined
    if (typeof last !== 'number') return broken("a tensor's shape or data_offsets is missing or no list of sizes")
    if (last > end) end = last
  }
  if (end > available) {
    const promised = `its header promises ${end} bytes of tensors and the file has ${available}`
    return `This safetensors file is truncated: ${promised}. Fetch the whole file again.`
  }
  return end < available ? broken(`${available - end} bytes follow after its last tensor`) : undefined
}

function headerLength(head: Uint8Array): number {
  return Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true))
}

function parsed(header: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header))
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isTable ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function broken(reason: string): string {
  return `This is not a valid safetensors file: ${reason}. Fetch it again from where it came, or save it again.`
}

const PAGE = /^\s*(<!--[\s\S]*?-->\s*)?(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b/i
const ARCHIVES: [string, string][] = [
  ['PK\x03\x04', 'a zip archive'],
  ['7z\xbc\xaf\x27\x1c', 'a 7z archive'],
  ['Rar!\x1a\x07', 'a RAR archive'],
  ['\x1f\x8b', 'a gzip file'],
  ['\xfd7zXZ\0', 'an xz file'],
  ['\x89PNG\r\n\x1a\n', 'a PNG picture'],
  ['\xff\xd8\xff', 'a JPEG picture'],
  ['%PDF-', 'a PDF document'],
]

/** What people upload by mistake; pickle files are zip archives themselves. */
function imposterIn(head: Uint8Array, isPickle: boolean): string | undefined {
  const text = String.fromCharCode(...head)
  if (text.startsWith('version https://git-lfs.github.com/spec/v1')) {
    return "This is a Git LFS pointer, not a model: it only names the real file. Run 'git lfs pull' and take what you then have."
  }
  if (PAGE.test(text)) {
    return 'This is an HTML page, not a model: the download probably met a sign-in or error page. Download the model again, signed in.'
  }
  const archive = ARCHIVES.find(([magic, name]) => text.startsWith(magic) && !(isPickle && name === 'a zip archive'))
  return archive && `This is ${archive[1]}, not what its name says. Take the model itself.`
}

function starts(head: Uint8Array, magic: string): boolean {
  return Array.from(magic).every((letter, index) => head[index] === letter.charCodeAt(0))
}

async function fingerprint(file: File): Promise<string> {
  const hash = await createSHA256()
  for (const part of [0, 1, 2, 3]) {
    const start = Math.floor((Math.max(0, file.size - SAMPLE) * part) / 3)
    hash.update(await bytesOf(file, start, start + SAMPLE))
  }
  return hash.digest().slice(0, 32)
}

async function bytesOf(file: File, start: number, end: number): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(start, end).arrayBuffer())
}
