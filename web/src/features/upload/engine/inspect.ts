// Inspects the start of a file: errors, detected type and fingerprint.
//
// It refuses only what the registry would refuse (server/inspection). Runs in the worker.

import { createSHA256 } from 'hash-wasm'
import { detectTypeByGguf, detectTypeByTensors } from '@/features/upload/engine/detectType'
import { getExtension } from '@/features/upload/engine/suggestPath'
import { PICKLE_EXTENSIONS, SAFETENSORS_EXTENSIONS } from '@/generated/formats'
import {
  HEAD_BYTES,
  MAX_SAFETENSORS_HEADER_BYTES,
  REFERENCE_MAX_SAFETENSORS_HEADER_BYTES,
} from '@/generated/inspection'

const SAMPLE_BYTES = 64 * 1024

export interface Inspection {
  /** Why the registry would refuse the bytes. */
  refusal: string | undefined
  detectedType: string | undefined
  /** A hash of samples, to distinguish files of the same name, size and time. */
  fingerprint: string
}

export async function inspectFile(file: File): Promise<Inspection> {
  const head = await readRange(file, 0, HEAD_BYTES)
  const found = await inspectContent(file, head)
  return { refusal: found.refusal, detectedType: found.guessedType, fingerprint: await fingerprint(file) }
}

interface Content {
  refusal?: string
  guessedType?: string | undefined
}

async function inspectContent(file: File, head: Uint8Array): Promise<Content> {
  if (file.size === 0) return { refusal: 'The file is empty.' }
  const suffix = getExtension(file.name)
  const isSafetensors = looksLikeSafetensors(head)
  const unexpectedType = isSafetensors ? undefined : findUnexpectedType(head, PICKLE_EXTENSIONS.includes(suffix))
  if (unexpectedType) return { refusal: unexpectedType }
  if (SAFETENSORS_EXTENSIONS.includes(suffix)) return safetensors(file, head)
  const actual = isSafetensors ? 'safetensors' : startsWith(head, 'GGUF') ? 'gguf' : undefined
  if (actual && suffix !== `.${actual}`) {
    const why = 'programs choose how to load a file by its extension'
    return { refusal: `The content is ${actual}, which does not match the extension '${suffix}': ${why}.` }
  }
  if (suffix === '.gguf')
    return actual ? { guessedType: detectTypeByGguf(head) } : { refusal: 'This is not a GGUF file.' }
  return {}
}

function looksLikeSafetensors(head: Uint8Array): boolean {
  const length = head.length > 8 ? readHeaderLength(head) : 0
  return length >= 2 && length <= REFERENCE_MAX_SAFETENSORS_HEADER_BYTES && head[8] === 0x7b
}

async function safetensors(file: File, head: Uint8Array): Promise<Content> {
  if (startsWith(head, 'GGUF'))
    return { refusal: "The content is gguf, not safetensors. Change the extension to '.gguf'." }
  if (head.length < 8) return { refusal: invalidSafetensors('it is shorter than 8 bytes') }
  const length = readHeaderLength(head)
  if (length > REFERENCE_MAX_SAFETENSORS_HEADER_BYTES)
    return { refusal: invalidSafetensors('its first 8 bytes are not the length of a header') }
  if (length > file.size - 8)
    return { refusal: invalidSafetensors('its header reaches past the end of the file: it is truncated') }
  if (length > MAX_SAFETENSORS_HEADER_BYTES) {
    const limit = `the registry reads at most ${MAX_SAFETENSORS_HEADER_BYTES / 2 ** 20} MiB`
    return { refusal: `The header has ${length} bytes; ${limit}. Remove embedded images from it.` }
  }
  const header = parseHeader(await readRange(file, 8, 8 + length))
  if (!header) return { refusal: invalidSafetensors('its header is not JSON') }
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__')
  const lengthRefusal = checkTensorLength(tensors, file.size - 8 - length)
  if (lengthRefusal) return { refusal: lengthRefusal }
  return { guessedType: detectTypeByTensors(tensors.map(([name]) => name)) }
}

/** Check that the tensors end at the end of the file, which a broken download or a full disk violates. */
function checkTensorLength(tensors: [string, unknown][], available: number): string | undefined {
  let end = 0
  for (const [, entry] of tensors) {
    const offsets = (entry as { data_offsets?: unknown } | null)?.data_offsets
    const last: unknown = Array.isArray(offsets) ? offsets[1] : undefined
    if (typeof last !== 'number')
      return invalidSafetensors("a tensor's shape or data_offsets is missing or not a list of sizes")
    if (last > end) end = last
  }
  if (end > available) {
    const promised = `its header declares ${end} bytes of tensors and the file has ${available}`
    return `This safetensors file is truncated: ${promised}. Download the file again.`
  }
  return end < available ? invalidSafetensors(`${available - end} bytes follow after its last tensor`) : undefined
}

function readHeaderLength(head: Uint8Array): number {
  return Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true))
}

function parseHeader(header: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header))
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isTable ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function invalidSafetensors(reason: string): string {
  return `This is not a valid safetensors file: ${reason}. Download it again from its source, or save it again.`
}

const PAGE = /^\s*(<!--[\s\S]*?-->\s*)?(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b/i
const ARCHIVES: [string, string][] = [
  ['PK\x03\x04', 'a zip archive'],
  ['7z\xbc\xaf\x27\x1c', 'a 7z archive'],
  ['Rar!\x1a\x07', 'a RAR archive'],
  ['\x1f\x8b', 'a gzip file'],
  ['\xfd7zXZ\0', 'an xz file'],
  ['\x89PNG\r\n\x1a\n', 'a PNG image'],
  ['\xff\xd8\xff', 'a JPEG image'],
  ['%PDF-', 'a PDF document'],
]

/** Detect files that are uploaded by mistake; pickle files are zip archives themselves. */
function findUnexpectedType(head: Uint8Array, isPickle: boolean): string | undefined {
  const text = String.fromCharCode(...head)
  if (text.startsWith('version https://git-lfs.github.com/spec/v1')) {
    return "This is a Git LFS pointer, not a model: it only references the real file. Run 'git lfs pull' and upload the file that it downloads."
  }
  if (PAGE.test(text)) {
    return 'This is an HTML page, not a model: the download probably returned a sign-in or error page. Sign in and download the model again.'
  }
  const archive = ARCHIVES.find(([magic, name]) => text.startsWith(magic) && !(isPickle && name === 'a zip archive'))
  return archive && `This is ${archive[1]}, although its extension says otherwise. Upload the model file itself.`
}

function startsWith(head: Uint8Array, magic: string): boolean {
  return Array.from(magic).every((letter, index) => head[index] === letter.charCodeAt(0))
}

async function fingerprint(file: File): Promise<string> {
  const hash = await createSHA256()
  for (const part of [0, 1, 2, 3]) {
    const start = Math.floor((Math.max(0, file.size - SAMPLE_BYTES) * part) / 3)
    hash.update(await readRange(file, start, start + SAMPLE_BYTES))
  }
  return hash.digest().slice(0, 32)
}

async function readRange(file: File, start: number, end: number): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(start, end).arrayBuffer())
}
