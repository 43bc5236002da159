// Recognises model types, and suggests the known one for a near miss.
//
// The registry refuses near misses by the same rule (wire/model_folders.py); the tests share cases.

import { MODEL_TYPES, NODE_FOLDERS } from '@/generated/modelTypes'

const CORE_TYPES = new Set(MODEL_TYPES)
// Lower case: nodes that share a folder spell it differently.
const NODE_TYPES = new Set(NODE_FOLDERS.map((name) => name.toLowerCase()))
// Shorter names are too similar to each other: `doras` need not be a typo of `loras`. Swapped letters count at any length.
const MIN_TYPO_LENGTH = 6

/** Return whether ComfyUI itself or a known custom node has this models folder. */
export function isKnownType(name: string): boolean {
  return CORE_TYPES.has(name) || NODE_TYPES.has(name.toLowerCase())
}

/** Return the known type of which an unknown name is a near miss; undefined for a known name, or a new one. */
export function suggestType(name: string): string | undefined {
  if (isKnownType(name)) return undefined
  const spelling = normalize(name)
  const longNodeFolders = NODE_FOLDERS.filter((folder) => folder.length >= MIN_TYPO_LENGTH)
  const same = [...MODEL_TYPES, ...longNodeFolders].find((folder) => normalize(folder) === spelling)
  if (same !== undefined) return same
  const isLong = spelling.length >= MIN_TYPO_LENGTH
  return MODEL_TYPES.find((folder) => {
    const known = normalize(folder)
    return areLettersSwapped(spelling, known) || (isLong && isOneLetterOff(spelling, known))
  })
}

/** Return a name in lower case, without separators and without a final `s`. */
function normalize(name: string): string {
  return name
    .toLowerCase()
    .replace(/[-_. ]+/g, '')
    .replace(/s$/, '')
}

/** Return whether two texts differ in one letter: inserted, missing or changed; no digit. */
function isOneLetterOff(one: string, other: string): boolean {
  const [rest, otherRest] = cutCommonStart(one, other)
  if (/^\d/.test(rest) || /^\d/.test(otherRest)) return false
  return rest.slice(1) === otherRest || rest === otherRest.slice(1) || rest.slice(1) === otherRest.slice(1)
}

/** Return whether two texts differ in two neighboring letters that are swapped; none is a digit. */
function areLettersSwapped(one: string, other: string): boolean {
  const [rest, otherRest] = cutCommonStart(one, other)
  const isSwapped = rest.slice(0, 2) === [...otherRest.slice(0, 2)].reverse().join('')
  return /^\p{L}{2}/u.test(rest) && isSwapped && rest.slice(2) === otherRest.slice(2)
}

/** Return what follows in two texts after the letters with which both begin. */
function cutCommonStart(one: string, other: string): [string, string] {
  let start = 0
  while (start < Math.min(one.length, other.length) && one[start] === other[start]) start += 1
  return [one.slice(start), other.slice(start)]
}
