// The rule of model paths, as the registry's own wire/paths.py says it: web/tests/upload-paths.spec.ts compares the two.
//
// Here it only tells people early; the registry decides.

// Python's `\w` is letters and numbers of all scripts, and no marks.
const ALLOWED = /^[\p{L}\p{N}_./ -]+$/u
const ALIASES: Readonly<Record<string, string>> = { unet: 'diffusion_models', clip: 'text_encoders' }
const NEVER_MODELS = new Set(['custom_nodes', 'configs', 'datasets', 'fonts'])
const MAX_SEGMENTS = 8
export const MAX_SEGMENT_BYTES = 120
const MAX_PATH_BYTES = 400
export const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])$/iu

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
  return Object.hasOwn(ALIASES, modelType) ? (ALIASES[modelType] ?? modelType) : modelType
}

/** @throws PathRefused it is no single safe folder name, or a folder that holds no models. */
function checkedType(modelType: string): string {
  if (modelType.includes('/') || !fits(modelType)) {
    throw new PathRefused('model_type', 'A model type is one folder name: letters, digits, `.`, `_`, `-`, spaces.')
  }
  checkSegment(modelType, 'model_type')
  if (NEVER_MODELS.has(casefold(modelType))) {
    throw new PathRefused('model_type', `'${modelType}' is a ComfyUI folder that holds no models.`)
  }
  return canonicalType(modelType)
}

/** @throws PathRefused with the field and the reason; nothing is ever cleaned silently. */
export function checkedPath(modelType: string, modelPath: string): ModelPath {
  const kind = checkedType(modelType)
  const refuse = (why: string) => new PathRefused('model_path', why)
  if (!fits(modelPath)) {
    throw refuse('A path has letters, digits, `.`, `_`, `-`, spaces and `/`; no `..`, no leading `/`.')
  }
  const relative = withoutModels(modelPath)
  const segments = relative.split('/')
  if (segments.length < 2 || segments.length > MAX_SEGMENTS) {
    throw refuse(`A path has 2 to ${MAX_SEGMENTS} segments: \`<type>/<file>\` at least.`)
  }
  if (byteLength(modelPath) > MAX_PATH_BYTES) throw refuse(`A path has at most ${MAX_PATH_BYTES} bytes.`)
  for (const segment of segments) checkSegment(segment, 'model_path')
  const [first = '', ...rest] = segments
  if (canonicalType(first) !== kind) {
    throw refuse(`The first folder is the model type: '${modelType}/…', not '${first}/…'.`)
  }
  return { relative, canonicalType: kind, key: casefold(`${kind}/${rest.join('/')}`).normalize('NFC') }
}

function withoutModels(modelPath: string): string {
  return modelPath.startsWith('models/') ? modelPath.slice('models/'.length) : modelPath
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}

function fits(text: string): boolean {
  return ALLOWED.test(text) && !text.startsWith('/') && !text.includes('..')
}

function checkSegment(segment: string, field: PathRefused['field']): void {
  if (!segment || segment === '.' || segment === '..')
    throw new PathRefused(field, 'A segment is never empty, `.` or `..`.')
  if ('. '.includes(segment[0] ?? '') || '. '.includes(segment.at(-1) ?? '')) {
    throw new PathRefused(field, `'${segment}' begins or ends with a dot or a space, which some systems drop.`)
  }
  if (segment.normalize('NFC') !== segment) {
    const why = 'is not in Unicode normal form C, so two machines may spell it differently.'
    throw new PathRefused(field, `'${segment}' ${why}`)
  }
  if (byteLength(segment) > MAX_SEGMENT_BYTES) {
    const start = [...segment].slice(0, 20).join('')
    throw new PathRefused(field, `'${start}…' has more than ${MAX_SEGMENT_BYTES} bytes.`)
  }
  if (DEVICE.test((segment.split('.')[0] ?? '').replace(/ +$/, ''))) {
    throw new PathRefused(field, `'${segment}' is a device name on Windows.`)
  }
}

// Folding by way of the capital is Unicode's own full case folding, but for these.
const FOLDS_TO_ITSELF = /[\u0131\u13a0-\u13f5]/
const CHEROKEE_SMALL = /[\u13f8-\u13fd\uab70-\uabbf]/

/** Unicode's full case folding, as Python's `str.casefold` does it. */
export function casefold(text: string): string {
  return Array.from(text, folded).join('')
}

function folded(letter: string): string {
  if (FOLDS_TO_ITSELF.test(letter)) return letter
  if (CHEROKEE_SMALL.test(letter)) return letter.toUpperCase()
  // Letter by letter, since a sigma at the end of a word has a small form of its own.
  return Array.from(letter.toLowerCase().toUpperCase(), (one) => one.toLowerCase()).join('')
}
