// What of a drop or selection is not added: files that are no models, and pictures of no model.

import type { Selection } from '@/features/upload/engine/pickFiles'
import { isPicture } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { getExtension } from '@/features/upload/engine/suggestPath'
import { pairSidecars } from '@/features/upload/sidecars/pairSidecars'

export interface LeftOut {
  /** Whether something else of the selection is added, and whether it has pictures. */
  isPartial: boolean
  hasPictures: boolean
  /** Number of skipped files by reason. */
  skipped: Map<string, number>
  /** The names of pictures that belong to none of the models that were dropped with them. */
  pictures: string[]
}

/**
 * Return what of a selection is not added.
 *
 * @param alone The sidecars that no draft has got. Those of a model that is being uploaded already are not among them.
 */
export function getLeftOut({ models, sidecars, skipped }: Selection, alone: readonly PickedFile[]): LeftOut {
  const unpaired = new Set(pairSidecars(models, alone).alone)
  const left = sidecars.filter((one) => unpaired.has(one))
  const [pictures, details] = [left.filter(isOfPicture), left.filter((one) => !isOfPicture(one))]
  const counts = new Map(skipped)
  for (const { relativePath } of details) {
    const suffix = getExtension(relativePath)
    counts.set(suffix, (counts.get(suffix) ?? 0) + 1)
  }
  return {
    isPartial: models.length + sidecars.length > details.length,
    hasPictures: sidecars.some(isOfPicture),
    skipped: counts,
    // Without models, they are offered to those of the team.
    pictures: models.length > 0 ? pictures.map(({ file }) => file.name) : [],
  }
}

function isOfPicture({ relativePath }: PickedFile): boolean {
  return isPicture(relativePath)
}
