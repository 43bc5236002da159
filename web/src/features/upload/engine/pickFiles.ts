// Selects the files that can be models, and those that may belong to models, from what was dropped or selected.

import { getName, isPicture } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { getExtension } from '@/features/upload/engine/suggestPath'
import { isDetails } from '@/features/upload/sidecars/pairSidecars'
import { EXTENSIONS } from '@/generated/formats'

const HIDDEN = 'hidden'

export interface Selection {
  models: PickedFile[]
  /** Pictures and details, which may belong to these or to other models. */
  sidecars: PickedFile[]
  /** Number of skipped files by reason. */
  skipped: Map<string, number>
}

export function selectModels(all: PickedFile[]): Selection {
  const models: PickedFile[] = []
  const sidecars: PickedFile[] = []
  const skipped = new Map<string, number>()
  for (const one of all) {
    const why = getSkipReason(one)
    if (!why) models.push(one)
    else if (why !== HIDDEN && (isPicture(one.relativePath) || isDetails(one.relativePath))) sidecars.push(one)
    else skipped.set(why, (skipped.get(why) ?? 0) + 1)
  }
  return { models: models.sort(byPath), sidecars: sidecars.sort(byPath), skipped }
}

function byPath(one: PickedFile, other: PickedFile): number {
  return one.relativePath < other.relativePath ? -1 : 1
}

function getSkipReason({ relativePath }: PickedFile): string | undefined {
  if (relativePath.split('/').some((part) => part.startsWith('.'))) return HIDDEN
  const suffix = getExtension(getName(relativePath))
  if (EXTENSIONS.includes(suffix)) return undefined
  return suffix || 'without an extension'
}
