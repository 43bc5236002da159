// Where a file belongs in a ComfyUI models folder, by the folders around it; and names that every machine can hold.
//
// The command line guesses the same way (client/library.py).

import { MODEL_TYPES } from '@/parts/modelTypes'
import { byteLength, checkedPath, DEVICE, MAX_SEGMENT_BYTES, PathRefused } from '@/uploading/paths'

export const SUFFIXES = ['.safetensors', '.sft', '.gguf', '.onnx', '.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl']
export const PICKLES = new Set(['.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl'])

const KNOWN = new Set(MODEL_TYPES)
// One key of ComfyUI with a second root of another name.
const ROOT_OF: Record<string, string> = { t2i_adapter: 'controlnet' }
/** What no name of a model may hold. */
export const UNFIT = /[^\p{L}\p{N}_.\-/ ]+/gu

/** The extension in small letters, with its dot; empty if there is none. */
export function suffixOf(name: string): string {
  return /.(\.[^./ ]+)$/u.exec(name)?.[1]?.toLowerCase() ?? ''
}

/** The path that the folders around a file say, such as `models/loras/sdxl/ink.safetensors`. */
export function pathByFolders(around: string): string | undefined {
  const parts = around.split('/').filter(Boolean)
  const folders = parts.slice(0, -1)
  for (let index = folders.length - 1; index > 0; index -= 1) {
    if (KNOWN.has(folders[index] ?? '') && folders[index - 1]?.toLowerCase() === 'models') return pathFrom(parts, index)
  }
  const named = folders.flatMap((folder, index) => (KNOWN.has(folder) ? [index] : []))
  return named.length === 1 ? pathFrom(parts, named[0] ?? 0) : undefined
}

/** The path under a type for a file that no folder places; what is below the dropped folder is kept. */
export function pathUnder(modelType: string, around: string): string {
  const below = around.split('/').filter(Boolean)
  return `models/${[modelType, ...(below.length > 1 ? below.slice(1) : below)].join('/')}`
}

/** The type that a path names by its first folder. */
export function typeOf(modelPath: string): string {
  const [first = '', ...rest] = modelPath.replace(/^models\//, '').split('/')
  return rest.length > 0 ? first : ''
}

/** The same path under another type. */
export function retyped(modelPath: string, modelType: string): string {
  const rest = modelPath.replace(/^models\//, '').split('/')
  const below = rest.length > 1 ? rest.slice(1) : rest
  return `models/${[modelType, ...below].join('/')}`
}

interface Unfit {
  why: string
  /** The nearest path that the rule lets pass, if there is one. */
  suggestion: string | undefined
}

/** Why a path cannot be a model's; undefined if it can. */
export function unfitness(modelPath: string): Unfit | undefined {
  const modelType = typeOf(modelPath)
  if (!modelType) return { why: 'A path names the type folder too: models/<type>/<file>.', suggestion: undefined }
  const why = refusal(modelType, modelPath)
  if (why === undefined) return undefined
  const suggestion = modelPath.split('/').map(cleanSegment).join('/')
  const helps = suggestion !== modelPath && refusal(typeOf(suggestion), suggestion) === undefined
  return { why, suggestion: helps ? suggestion : undefined }
}

function refusal(modelType: string, modelPath: string): string | undefined {
  try {
    checkedPath(modelType, modelPath)
    return undefined
  } catch (refused) {
    if (refused instanceof PathRefused) return refused.message
    throw refused
  }
}

function pathFrom(parts: string[], index: number): string {
  const root = parts[index] ?? ''
  return ['models', ROOT_OF[root] ?? root, ...parts.slice(index + 1)].join('/')
}

function cleanSegment(segment: string): string {
  const text = segment
    .normalize('NFC')
    .replace(UNFIT, '_')
    .replace(/\.{2,}/g, '.')
  const dot = text.lastIndexOf('.')
  const [stem, suffix] = dot > 0 ? [text.slice(0, dot), text.slice(dot)] : [text, '']
  // The brackets at the ends of a name leave nothing behind: "ink (1)" is "ink_1".
  const joined = stem.replace(/[ _]*_[ _]*/g, '_').replace(/^[_. ]+|[_. ]+$/g, '') || 'model'
  const short = shortened(joined, MAX_SEGMENT_BYTES - byteLength(suffix)).replace(/[_. ]+$/, '')
  const safe = DEVICE.test((short.split('.')[0] ?? '').replace(/ +$/, '')) ? `model_${short}` : short
  return `${safe}${suffix.trimEnd()}`
}

function shortened(text: string, room: number): string {
  const letters = Array.from(text)
  while (byteLength(letters.join('')) > room) letters.pop()
  return letters.join('')
}
