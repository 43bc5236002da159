// Validates drafts before the upload: everything that can be checked without sending the file.

import type { Model, Team } from '@/api/types'
import { isDamaged, isVersionDamaged } from '@/features/models/refusals'
import { checkPath, INVISIBLE_LETTER } from '@/features/upload/engine/checkPath'
import { findRepaired, type Item, isActive, type NewestVersion } from '@/features/upload/engine/items'
import {
  findPathProblem,
  getExtension,
  getTypeOfPath,
  INVALID_CHARACTERS,
  withType,
} from '@/features/upload/engine/suggestPath'
import { isKnownType, suggestType } from '@/features/upload/engine/suggestType'
import { PICKLE_EXTENSIONS } from '@/generated/formats'
import { FOLDER_MODEL_TYPES } from '@/generated/modelTypes'

export interface Validation {
  /** Only `valid` drafts are uploaded. `needs-input`: the person has to decide. */
  kind: 'reading' | 'valid' | 'needs-input' | 'refused'
  text: string
  /** A valid path. */
  suggestion?: string | undefined
  /** Another model is at the path. */
  isPathTaken?: boolean
  /** A type that is not known, which the person may use all the same. */
  newType?: string
}

/** Return whether the person may change a model. */
type MayChange = (model: Model) => boolean

/** Validate all drafts; returns the results by draft id. */
export function validateDrafts(
  items: readonly Item[],
  team: Team | undefined,
  mayChange: MayChange,
): Map<number, Validation> {
  const taken = new Map<string, Item>()
  for (const one of items) if (isActive(one) || one.stage === 'paused') taken.set(getPathKey(one) ?? '', one)
  const verdicts = new Map<number, Validation>()
  for (const one of items) {
    if (one.stage !== 'reading' && one.stage !== 'draft') continue
    const key = getPathKey(one)
    const twin = key === undefined ? undefined : taken.get(key)
    if (key !== undefined && !one.refusal) taken.set(key, twin ?? one)
    verdicts.set(one.id, validateDraft(one, twin, team, mayChange))
  }
  return verdicts
}

function validateDraft(one: Item, twin: Item | undefined, team: Team | undefined, mayChange: MayChange): Validation {
  if (one.stage === 'reading') return { kind: 'reading', text: 'Checking the file…' }
  const refusal = one.refusal ?? pickleRefusal(one, team)
  if (refusal) return { kind: 'refused', text: refusal }
  if (!getTypeOfPath(one.path)) return { kind: 'needs-input', text: 'The model type is unknown. Choose a type.' }
  const unfit = findPathProblem(one.path)
  if (unfit) return invalidPath(one, unfit.why, unfit.suggestion)
  if (!one.folder && getExtension(one.path) !== getExtension(one.file.name))
    return { kind: 'refused', text: otherExtension(one) }
  const typeProblem = validateType(one)
  if (typeProblem) return typeProblem
  if (twin)
    return {
      kind: 'refused',
      text: `'${toVisibleText(twin.relativePath)}' would become the same model. Change the path of one of them.`,
    }
  if (one.existing) return validateForModel(one, one.existing, mayChange)
  if (one.isBegun) return { kind: 'valid', text: 'Resumes an upload that was started before.' }
  return { kind: 'valid', text: describeLeftOut(one) }
}

function describeLeftOut({ leftOut }: Item): string {
  if (!leftOut) return ''
  return leftOut === 1 ? 'One hidden or empty file is left out.' : `${leftOut} hidden or empty files are left out.`
}

/** Return what is wrong with an unknown type, unless the model at the path has it or the person accepted it. */
function validateType(one: Item): Validation | undefined {
  const type = getTypeOfPath(one.path)
  if (one.folder && FOLDER_MODEL_TYPES.includes(type)) return undefined
  if (isKnownType(type) || one.acceptedType === type || one.existing?.model_type === type) return undefined
  const known = suggestType(type)
  if (known) {
    const text = `'${type}' is no folder that ComfyUI or a known node reads. Did you mean '${known}'?`
    return { kind: 'needs-input', text, suggestion: withType(one.path, known) }
  }
  const text = `No folder '${type}' is known. Machines will create it, and only a node that reads it will find the model.`
  return { kind: 'needs-input', text, newType: type }
}

function invalidPath(one: Item, why: string, suggestion: string | undefined): Validation {
  if (!suggestion) return { kind: 'needs-input', text: why }
  const letters = [...new Set(one.path.match(INVALID_CHARACTERS)?.join(''))].map(toVisibleCharacter).join(' ')
  const reason = letters ? `Some machines cannot store a name with ${letters}` : why.replace(/\.$/, '')
  const text = `${reason}. Workflows that use '${toVisibleText(one.file.name)}' must be changed to the new name.`
  return { kind: 'needs-input', text, suggestion }
}

/** Return a character, or its code point if it is invisible or changes the text direction. */
function toVisibleCharacter(letter: string): string {
  const code = letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')
  return /[\p{C}\p{Z}\p{M}]/u.test(letter) || INVISIBLE_LETTER.test(letter) ? `U+${code}` : letter
}

/** Replace control characters, which could change the direction of the surrounding text. */
function toVisibleText(name: string): string {
  return name.replace(/\p{C}/gu, '\ufffd')
}

function otherExtension({ replaces, path, file }: Item): string {
  return replaces
    ? `A new version must have the extension of its model, '${getExtension(path)}'.`
    : `The path must have the extension of the file, '${getExtension(file.name)}'.`
}

/** Validate a draft at the path of a model: it repairs a version of it, becomes the next one, or needs a decision. */
function validateForModel(one: Item, existing: Model, mayChange: MayChange): Validation {
  const name = toVisibleText(existing.display_name)
  const repaired = findRepaired(one)
  if (repaired) return validateRepair(repaired, name, mayChange(existing))
  const isNextVersion = one.replaces === existing.id
  const mayBeSame = one.hash === undefined && (existing.total_size ?? existing.file_size) === one.file.size
  if (mayBeSame && !(isNextVersion && existing.verification !== 'failed')) {
    return { kind: 'reading', text: 'A model of this size is at this path. Hashing the file to compare them…' }
  }
  if (!isNextVersion) return takenPath(one)
  const which = one.newest ? `version ${one.newest.next}` : 'a new version'
  return { kind: 'valid', text: `Becomes ${which} of “${name}”.` }
}

/** Everybody who may upload may repair content that was verified once; other content changes the model. */
function validateRepair(repaired: Model | NewestVersion, name: string, mayChange: boolean): Validation {
  const version = `version ${repaired.version} of “${name}”`
  const wasVerified = 'version_status' in repaired ? isVersionDamaged(repaired) : isDamaged(repaired)
  if (wasVerified) return { kind: 'valid', text: `Repairs ${version}.` }
  if (mayChange) return { kind: 'valid', text: `Uploads ${version} again.` }
  return { kind: 'refused', text: `Only an admin or the person who registered the model can upload ${version} again.` }
}

function takenPath(one: Item): Validation {
  const text = one.folder ? 'A different folder is at this path.' : 'A different file is at this path.'
  return { kind: 'needs-input', text, suggestion: one.freePath, isPathTaken: true }
}

function pickleRefusal({ file, folder }: Item, team: Team | undefined): string | undefined {
  const names = folder?.map(({ path }) => path) ?? [file.name]
  const pickle = names.find((name) => PICKLE_EXTENSIONS.includes(getExtension(name)))
  if (team?.pickle_policy !== 'block' || pickle === undefined) return undefined
  if (folder) {
    return (
      `'${toVisibleText(pickle)}' is a pickle file, and such files can run code on every machine that loads them; this ` +
      'team takes none. Take it out of the folder, or ask an admin of the team to allow them.'
    )
  }
  return (
    'This is a pickle file, and such files can run code on every machine that loads them; this team takes none. ' +
    'Convert it to .safetensors, or ask an admin of the team to allow pickle files that a scan finds harmless.'
  )
}

/** Return a message if the drafts exceed the team's quota. */
export function quotaRefusal(drafts: readonly Item[], team: Team | undefined, words: (count: number) => string) {
  if (team?.quota_bytes === null || team?.quota_bytes === undefined) return undefined
  const room = Math.max(0, team.quota_bytes - team.stored_bytes)
  const wanted = drafts.reduce((sum, one) => sum + one.file.size, 0)
  if (wanted <= room) return undefined
  return `The team's quota is ${words(team.quota_bytes)}, of which ${words(room)} are left; these files need ${words(wanted)}.`
}

function getPathKey({ path }: Item): string | undefined {
  return getTypeOfPath(path) && !findPathProblem(path) ? checkPath(getTypeOfPath(path), path).key : undefined
}
