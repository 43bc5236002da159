// Pairs model files with the pictures and details beside them.
//
// The names are those of the command line (client/transfers/sidecars.py); their tests share cases. The page also pairs
// files whose names differ in letter case or that are in another folder, because a person sees what is paired.

import { getName, getPictureStem, getStem, isPicture } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { DETAILS_SUFFIXES, PICTURE_SUFFIXES } from '@/generated/sidecars'

/** What belongs to a model: its picture, and files with details, the preferred one first. */
export interface Sidecars {
  picture?: PickedFile | undefined
  details: PickedFile[]
}

interface Pairing<Named> {
  pairs: Map<Named, Sidecars>
  /** Those that belong to no model. */
  alone: PickedFile[]
}

/** Return whether a name is that of a file with details, such as `ink.civitai.info`. */
export function isDetails(relativePath: string): boolean {
  return findDetailsSuffix(getName(relativePath)) !== undefined
}

/**
 * Pair sidecars with models: by the exact names in the folder of a model, then the others by their stem.
 *
 * A file with another spelling or in another folder belongs to a model of its folder, or else to the only model that has
 * its stem, and is taken if the model has nothing of its kind. Of several pictures, one that is named `.preview` is.
 */
export function pairSidecars<Named extends { relativePath: string }>(
  models: readonly Named[],
  files: readonly PickedFile[],
): Pairing<Named> {
  const { pairs, others } = pairByExactNames(models, files)
  const findModel = buildModelFinder(models)
  const hasExactDetails = new Set([...pairs].flatMap(([model, { details }]) => (details.length > 0 ? [model] : [])))
  const alone: PickedFile[] = []
  for (const one of others.toSorted(byPreference)) {
    const model = findModel(one)
    if (!model) {
      alone.push(one)
      continue
    }
    const { picture, details } = pairs.get(model) ?? { details: [] }
    if (isPicture(one.relativePath)) pairs.set(model, { picture: picture ?? one, details })
    else if (!hasExactDetails.has(model)) pairs.set(model, { picture, details: [...details, one] })
  }
  return { pairs, alone }
}

function pairByExactNames<Named extends { relativePath: string }>(
  models: readonly Named[],
  files: readonly PickedFile[],
): { pairs: Map<Named, Sidecars>; others: PickedFile[] } {
  const byPath = new Map(files.map((one) => [one.relativePath, one]))
  const pairs = new Map<Named, Sidecars>()
  const taken = new Set<PickedFile>()
  for (const model of models) {
    const stem = removeExtension(model.relativePath)
    const find = (suffixes: readonly string[]) => suffixes.flatMap((suffix) => byPath.get(stem + suffix) ?? [])
    const [pictures, details] = [find(PICTURE_SUFFIXES), find(DETAILS_SUFFIXES)]
    for (const one of [...pictures, ...details]) taken.add(one)
    if (pictures.length + details.length > 0) pairs.set(model, { picture: pictures[0], details })
  }
  return { pairs, others: files.filter((one) => !taken.has(one)) }
}

/** Return a function that finds the model of a sidecar by its stem, in any letter case. */
function buildModelFinder<Named extends { relativePath: string }>(
  models: readonly Named[],
): (one: PickedFile) => Named | undefined {
  const byPlace = groupBy(models, ({ relativePath }) => `${getFolder(relativePath)}/${getStem(relativePath)}`)
  const byStem = groupBy(models, ({ relativePath }) => getStem(relativePath))
  return ({ relativePath }) => {
    const stem = getSidecarStem(relativePath)
    const named = byStem.get(stem)
    return byPlace.get(`${getFolder(relativePath)}/${stem}`)?.[0] ?? (named?.length === 1 ? named[0] : undefined)
  }
}

/** `loras/Ink.civitai.info` and `loras/ink.preview.png` → `ink`. */
function getSidecarStem(relativePath: string): string {
  const name = getName(relativePath)
  const suffix = findDetailsSuffix(name)
  return suffix === undefined ? getPictureStem(relativePath) : name.slice(0, -suffix.length).toLowerCase()
}

function findDetailsSuffix(name: string): string | undefined {
  return DETAILS_SUFFIXES.find((suffix) => name.length > suffix.length && name.toLowerCase().endsWith(suffix))
}

function byPreference(one: PickedFile, other: PickedFile): number {
  return getRank(one) - getRank(other)
}

function getRank({ relativePath }: PickedFile): number {
  const suffix = findDetailsSuffix(getName(relativePath))
  if (suffix !== undefined) return DETAILS_SUFFIXES.indexOf(suffix)
  return getStem(relativePath).endsWith('.preview') ? 0 : 1
}

function removeExtension(path: string): string {
  return path.replace(/([^/])\.[^./]*$/, '$1')
}

function getFolder(path: string): string {
  return path.split('/').slice(0, -1).join('/')
}

function groupBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group) group.push(row)
    else groups.set(keyOf(row), [row])
  }
  return groups
}
