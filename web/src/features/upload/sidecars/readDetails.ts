// Reads what files beside a model declare of it: `.civitai.info`, and LoRA Manager's `.metadata.json`.
//
// The command line has the same rules (client/transfers/sidecars.py); their tests share cases.

import {
  MAX_DETAILS_BYTES,
  MAX_DETAILS_DEPTH,
  MAX_SIDECAR_TEXT_LENGTH,
  MAX_SIDECAR_WORDS,
  NO_BASE_MODEL,
  WHITE_SPACE_PATTERN,
} from '@/generated/sidecars'

export interface SidecarDetails {
  /** The name of the file. */
  name: string
  baseModel: string | undefined
  triggerWords: string[]
  license: string | undefined
  author: string | undefined
}

type Table = Record<string, unknown>

const outerSpace = new RegExp(`^${WHITE_SPACE_PATTERN}+|${WHITE_SPACE_PATTERN}+$`, 'g')

/**
 * Return what the first of the files declares that can be read, says something, and does not have another file's hash.
 *
 * @param hash The model file's, `sha256:<hex>`; undefined if it is not known yet.
 */
export async function readSidecarDetails(
  files: readonly File[],
  hash: string | undefined,
): Promise<SidecarDetails | undefined> {
  for (const file of files) {
    const document = await readJson(file)
    if (!document || !agrees(document, hash)) continue
    const details = parseDetails(file.name, document)
    if (details.baseModel || details.triggerWords.length > 0 || details.license || details.author) return details
  }
  return undefined
}

function parseDetails(name: string, document: Table): SidecarDetails {
  return {
    name,
    baseModel: findBaseModel(document),
    triggerWords: findTriggerWords(document),
    license: cleanText(document.license) || undefined,
    author: findAuthor(document),
  }
}

/** Return the JSON object in a file; undefined if there is none, or if it is too large or too deep. */
async function readJson(file: File): Promise<Table | undefined> {
  if (file.size > MAX_DETAILS_BYTES) return undefined
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer())
    const document: unknown = JSON.parse(text)
    return isTable(document) && !isTooDeep(document) ? document : undefined
  } catch {
    return undefined
  }
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Return whether objects and lists are nested in more than `MAX_DETAILS_DEPTH` levels. */
function isTooDeep(document: object): boolean {
  let level = [document]
  for (let depth = 0; depth < MAX_DETAILS_DEPTH; depth += 1) {
    level = level.flatMap((value) => Object.values(value).filter((entry) => typeof entry === 'object' && entry))
  }
  return level.length > 0
}

/** Return whether a document may be about a file: it names no SHA-256, or this one among others. */
function agrees(document: Table, hash: string | undefined): boolean {
  const named = listHashes(document)
  return named.length === 0 || hash === undefined || named.includes(hash.replace(/^sha256:/, ''))
}

/** List the SHA-256 hashes that a document names: Civitai lists those of all files of a version. */
function listHashes({ sha256, files }: Table): string[] {
  const hashes = asArray(files).map((entry) => isTable(entry) && isTable(entry.hashes) && entry.hashes.SHA256)
  return [sha256, ...hashes].flatMap((text) => (typeof text === 'string' && text ? [text.toLowerCase()] : []))
}

function findBaseModel({ baseModel, base_model }: Table): string | undefined {
  return [baseModel, base_model].map(cleanText).find((text) => text && !NO_BASE_MODEL.includes(text.toLowerCase()))
}

/** Find the author: `author`, or else Civitai's `creator`, which LoRA Manager has in `civitai`. */
function findAuthor(document: Table): string | undefined {
  const creators = [document, document.civitai].map((source) => isTable(source) && source.creator)
  const names = creators.map((creator) => isTable(creator) && creator.username)
  return [document.author, ...names].map(cleanText).find(Boolean)
}

/** Find the trigger words: those of the document, or else those that LoRA Manager got from Civitai. */
function findTriggerWords(document: Table): string[] {
  for (const source of [document, document.civitai]) {
    const words = isTable(source) ? asArray(source.trainedWords).map(cleanText).filter(Boolean) : []
    if (words.length > 0) return words.slice(0, MAX_SIDECAR_WORDS)
  }
  return []
}

function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** Return a text as a registration may have it, or '' for a value that is none. */
function cleanText(value: unknown): string {
  if (typeof value !== 'string') return ''
  // JSON can escape one half of a surrogate pair, which the registry refuses.
  const text = value.replace(/\p{Cs}/gu, '').replace(outerSpace, '')
  // Characters above U+FFFF have two units.
  return Array.from(text.slice(0, 2 * MAX_SIDECAR_TEXT_LENGTH))
    .slice(0, MAX_SIDECAR_TEXT_LENGTH)
    .join('')
}
