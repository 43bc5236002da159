// Pictures beside model files: the ones that belong to a model have its name.

import { getExtension } from '@/features/upload/engine/suggestPath'

interface PictureFile {
  file: File
  relativePath: string
}

export const PICTURE_EXTENSIONS = ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.avif']

export function isPicture(relativePath: string): boolean {
  return PICTURE_EXTENSIONS.includes(getExtension(getName(relativePath)))
}

/** `loras/ink.preview.png` and `loras/ink.png` → `ink`, in one case. */
export function getPictureStem(relativePath: string): string {
  return getStem(relativePath).replace(/(.)\.preview$/i, '$1')
}

export function getStem(path: string): string {
  return getName(path)
    .replace(/(.)\.[^.]*$/, '$1')
    .toLowerCase()
}

/**
 * Pair pictures with models of the same name: in the same folder, or else in any folder if only one model has the name.
 *
 * Of several pictures of a model, the one that is named `.preview` is taken.
 */
export function pairPictures<Named extends { relativePath: string }>(
  models: readonly Named[],
  pictures: readonly PictureFile[],
): { pairs: Map<Named, PictureFile>; alone: PictureFile[] } {
  const byPlace = groupBy(models, ({ relativePath }) => `${getFolder(relativePath)}/${getStem(relativePath)}`)
  const byStem = groupBy(models, ({ relativePath }) => getStem(relativePath))
  const pairs = new Map<Named, PictureFile>()
  const alone: PictureFile[] = []
  const sorted = pictures.toSorted((one, other) => Number(isPreview(other)) - Number(isPreview(one)))
  for (const picture of sorted) {
    const stem = getPictureStem(picture.relativePath)
    const near = byPlace.get(`${getFolder(picture.relativePath)}/${stem}`)
    const named = byStem.get(stem)
    const model = near?.[0] ?? (named?.length === 1 ? named[0] : undefined)
    if (!model) alone.push(picture)
    else if (!pairs.has(model)) pairs.set(model, picture)
  }
  return { pairs, alone }
}

function isPreview({ relativePath }: PictureFile): boolean {
  return getStem(relativePath).endsWith('.preview')
}

function getName(path: string): string {
  return path.split('/').at(-1) ?? ''
}

function getFolder(path: string): string {
  return path.split('/').slice(0, -1).join('/')
}

function groupBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const key = keyOf(row)
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  return groups
}
