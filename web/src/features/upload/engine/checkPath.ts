// The rules of model paths, a twin of wire/paths.py; web/tests/upload-paths.spec.ts compares the two.
//
// They give early feedback; the registry enforces them.

import {
  DEVICE_NAME_PATTERN,
  INVISIBLE_LETTER_PATTERN,
  MAX_PATH_BYTES,
  MAX_SEGMENT_BYTES,
  MAX_SEGMENTS,
  NON_MODEL_FOLDERS,
  TYPE_ALIASES,
} from '@/generated/paths'

// Python's `\w` is letters and numbers of all scripts, and no marks.
const ALLOWED = /^[\p{L}\p{N}_./ -]+$/u
const NEVER_MODELS = new Set(NON_MODEL_FOLDERS)
export const DEVICE_NAME = new RegExp(`^${DEVICE_NAME_PATTERN}$`, 'iu')

export const INVISIBLE_LETTER = new RegExp(INVISIBLE_LETTER_PATTERN, 'u')

export class PathRefused extends Error {
  constructor(
    readonly field: 'model_type' | 'model_path',
    message: string,
  ) {
    super(message)
  }
}

interface ModelPath {
  /** Below the models folder, without a leading `models/`. */
  relative: string
  canonicalType: string
  /** Equal for two paths that are one file on some machine. */
  key: string
}

export function canonicalType(modelType: string): string {
  return Object.hasOwn(TYPE_ALIASES, modelType) ? (TYPE_ALIASES[modelType] ?? modelType) : modelType
}

/** @throws PathRefused it is not a single safe folder name, or it is a folder without models. */
function checkType(modelType: string): string {
  if (modelType.includes('/') || !hasAllowedCharacters(modelType)) {
    throw new PathRefused('model_type', 'A model type is one folder name: letters, digits, `.`, `_`, `-`, spaces.')
  }
  checkSegment(modelType, 'model_type')
  if (NEVER_MODELS.has(casefold(modelType))) {
    throw new PathRefused('model_type', `'${modelType}' is a ComfyUI folder that holds no models.`)
  }
  return canonicalType(modelType)
}

/** @throws PathRefused with the field and the reason; paths are never changed silently. */
export function checkPath(modelType: string, modelPath: string): ModelPath {
  const kind = checkType(modelType)
  const refuse = (why: string) => new PathRefused('model_path', why)
  if (!hasAllowedCharacters(modelPath)) {
    throw refuse('A path may contain letters, digits, `.`, `_`, `-`, spaces and `/`, but no `..` and no leading `/`.')
  }
  const relative = stripModelsPrefix(modelPath)
  const segments = relative.split('/')
  if (segments.length < 2 || segments.length > MAX_SEGMENTS) {
    throw refuse(`A path must have 2 to ${MAX_SEGMENTS} segments: \`<type>/<file>\` at least.`)
  }
  if (byteLength(modelPath) > MAX_PATH_BYTES) throw refuse(`A path may have at most ${MAX_PATH_BYTES} bytes.`)
  for (const segment of segments) checkSegment(segment, 'model_path')
  const [first = '', ...rest] = segments
  if (canonicalType(first) !== kind) {
    throw refuse(`The first folder must be the model type: '${modelType}/…', not '${first}/…'.`)
  }
  return { relative, canonicalType: kind, key: casefold(`${kind}/${rest.join('/')}`).normalize('NFC') }
}

function stripModelsPrefix(modelPath: string): string {
  return modelPath.startsWith('models/') ? modelPath.slice('models/'.length) : modelPath
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}

function hasAllowedCharacters(text: string): boolean {
  return ALLOWED.test(text) && !text.startsWith('/') && !text.includes('..')
}

function checkSegment(segment: string, field: PathRefused['field']): void {
  if (!segment || segment === '.' || segment === '..')
    throw new PathRefused(field, 'A segment must not be empty, `.` or `..`.')
  const invisible = INVISIBLE_LETTER.exec(segment)?.[0].codePointAt(0)
  if (invisible !== undefined) {
    const letter = `U+${invisible.toString(16).toUpperCase().padStart(4, '0')}`
    throw new PathRefused(field, `A segment must not have invisible characters, such as ${letter}.`)
  }
  if ('. '.includes(segment[0] ?? '') || '. '.includes(segment.at(-1) ?? '')) {
    throw new PathRefused(field, `'${segment}' begins or ends with a dot or a space, which some file systems remove.`)
  }
  if (segment.normalize('NFC') !== segment) {
    const why = 'is not in Unicode normal form C, so machines may store it differently.'
    throw new PathRefused(field, `'${segment}' ${why}`)
  }
  if (byteLength(segment) > MAX_SEGMENT_BYTES) {
    const start = [...segment].slice(0, 20).join('')
    throw new PathRefused(field, `'${start}…' has more than ${MAX_SEGMENT_BYTES} bytes.`)
  }
  if (DEVICE_NAME.test((segment.split('.')[0] ?? '').replace(/ +$/, ''))) {
    throw new PathRefused(field, `'${segment}' is a reserved device name on Windows.`)
  }
}

// Lower-casing the upper-case form equals full case folding, except for these characters.
const FOLDS_TO_ITSELF = /[\u0131\u13a0-\u13f5]/
const CHEROKEE_SMALL = /[\u13f8-\u13fd\uab70-\uabbf]/

/** Return the full Unicode case folding, equal to Python's `str.casefold`. */
export function casefold(text: string): string {
  return Array.from(text, foldCharacter).join('')
}

function foldCharacter(letter: string): string {
  if (FOLDS_TO_ITSELF.test(letter)) return letter
  if (CHEROKEE_SMALL.test(letter)) return letter.toUpperCase()
  // Character by character, because a sigma at the end of a word has its own lower-case form.
  return Array.from(letter.toLowerCase().toUpperCase(), (one) => one.toLowerCase()).join('')
}
