// Suggests a model path from the folders of a file, with names that are valid on every machine.
//
// The command line uses the same rules (comfyui/model_paths.py); their tests share cases.

import { byteLength, checkPath, DEVICE_NAME, PathRefused } from '@/features/upload/engine/checkPath'
import { A1111_FOLDERS, KEY_BY_FOLDER, MODEL_TYPES, NODE_FOLDERS } from '@/generated/modelTypes'
import { INVISIBLE_LETTER_PATTERN, MAX_SEGMENT_BYTES } from '@/generated/paths'

const KNOWN_TYPES = new Set(MODEL_TYPES)
// Lower case. They count only below a models folder: elsewhere a name such as `onnx` has no meaning.
const NODE_TYPES = new Set(NODE_FOLDERS.map((name) => name.toLowerCase()))
const FOLDER_BY_SPELLING = new Map([
  ...Object.entries(A1111_FOLDERS),
  ...MODEL_TYPES.map((name) => [name.toLowerCase(), name] as const),
])
/** Characters that are not allowed in model paths. */
export const INVALID_CHARACTERS = new RegExp(`(?:[^\\p{L}\\p{N}_.\\-/ ]|${INVISIBLE_LETTER_PATTERN})+`, 'gu')

/** Return the extension in lower case with its dot, or ''. */
export function getExtension(name: string): string {
  return /.(\.[^./ ]+)$/u.exec(name)?.[1]?.toLowerCase() ?? ''
}

/** Suggest a path from the folders of a file, such as `models/loras/sdxl/ink.safetensors`. */
export function suggestPathByFolders(relativePath: string): string | undefined {
  const parts = relativePath.split('/').filter(Boolean)
  const folders = parts.slice(0, -1)
  for (let index = folders.length - 1; index > 0; index -= 1) {
    const folder = isModelsFolder(folders[index - 1]) ? findTypeFolder(folders[index] ?? '') : undefined
    if (folder !== undefined) return buildPath([folder, ...parts.slice(index + 1)])
  }
  const named = folders.flatMap((folder, index) => (KNOWN_TYPES.has(folder) ? [index] : []))
  return named.length === 1 ? buildPath(parts.slice(named[0])) : undefined
}

/** Return the known models folder that a folder directly below `models` is, in any letter case, also one of A1111. */
export function findTypeFolder(name: string): string | undefined {
  const spelling = name.toLowerCase()
  return FOLDER_BY_SPELLING.get(spelling) ?? (NODE_TYPES.has(spelling) ? name : undefined)
}

function isModelsFolder(name: string | undefined): boolean {
  return name?.toLowerCase() === 'models'
}

/** Suggest a path below a type folder; folders below the dropped folder are kept, but for a folder `models`. */
export function suggestPathByType(modelType: string, relativePath: string): string {
  const parts = relativePath.split('/').filter(Boolean)
  const below = parts.length > 1 ? parts.slice(1) : parts
  return `models/${[modelType, ...(below.length > 1 && isModelsFolder(below[0]) ? below.slice(1) : below)].join('/')}`
}

/** Return the type of a path: its first folder. */
export function getTypeOfPath(modelPath: string): string {
  const [first = '', ...rest] = modelPath.replace(/^models\//, '').split('/')
  return rest.length > 0 ? first : ''
}

/** Return the same path below another type folder. */
export function withType(modelPath: string, modelType: string): string {
  const rest = modelPath.replace(/^models\//, '').split('/')
  const below = rest.length > 1 ? rest.slice(1) : rest
  return `models/${[modelType, ...below].join('/')}`
}

interface PathProblem {
  why: string
  /** The nearest valid path, if there is one. */
  suggestion: string | undefined
}

/** Return why a path is invalid, or undefined if it is valid. */
export function findPathProblem(modelPath: string): PathProblem | undefined {
  const modelType = getTypeOfPath(modelPath)
  if (!modelType) return { why: 'A path needs a type folder: models/<type>/<file>.', suggestion: undefined }
  const why = getRefusal(modelType, modelPath)
  if (why === undefined) return undefined
  const suggestion = modelPath.split('/').map(cleanSegment).join('/')
  const helps = suggestion !== modelPath && getRefusal(getTypeOfPath(suggestion), suggestion) === undefined
  return { why, suggestion: helps ? suggestion : undefined }
}

function getRefusal(modelType: string, modelPath: string): string | undefined {
  try {
    checkPath(modelType, modelPath)
    return undefined
  } catch (refused) {
    if (refused instanceof PathRefused) return refused.message
    throw refused
  }
}

function buildPath([folder = '', ...below]: string[]): string {
  return ['models', KEY_BY_FOLDER[folder] ?? folder, ...below].join('/')
}

function cleanSegment(segment: string): string {
  const text = segment
    .normalize('NFC')
    .replace(INVALID_CHARACTERS, '_')
    .replace(/\.{2,}/g, '.')
  const dot = text.lastIndexOf('.')
  const [stem, suffix] = dot > 0 ? [text.slice(0, dot), text.slice(dot)] : [text, '']
  // Replaced brackets leave no trailing underscore: "ink (1)" becomes "ink_1".
  const joined = stem.replace(/[ _]*_[ _]*/g, '_').replace(/^[_. ]+|[_. ]+$/g, '') || 'model'
  const short = truncate(joined, MAX_SEGMENT_BYTES - byteLength(suffix)).replace(/[_. ]+$/, '')
  const safe = DEVICE_NAME.test((short.split('.')[0] ?? '').replace(/ +$/, '')) ? `model_${short}` : short
  return `${safe}${suffix.trimEnd()}`
}

function truncate(text: string, room: number): string {
  const letters = Array.from(text)
  while (byteLength(letters.join('')) > room) letters.pop()
  return letters.join('')
}
