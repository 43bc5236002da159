// Selects the files that can be models, and pictures, from those that were dropped or selected.

import { isPicture } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { getExtension } from '@/features/upload/engine/suggestPath'
import { EXTENSIONS } from '@/generated/formats'

export interface Selection {
  models: PickedFile[]
  /** Pictures, which may belong to these or to other models. */
  pictures: PickedFile[]
  /** Number of skipped files by reason. */
  skipped: Map<string, number>
}

export function selectModels(all: PickedFile[]): Selection {
  const models: PickedFile[] = []
  const pictures: PickedFile[] = []
  const skipped = new Map<string, number>()
  for (const one of all) {
    const why = getSkipReason(one)
    if (why !== undefined && why !== 'hidden' && isPicture(one.relativePath)) pictures.push(one)
    else if (why) skipped.set(why, (skipped.get(why) ?? 0) + 1)
    else models.push(one)
  }
  return { models: models.sort(byPath), pictures: pictures.sort(byPath), skipped }
}

function byPath(one: PickedFile, other: PickedFile): number {
  return one.relativePath < other.relativePath ? -1 : 1
}

function getSkipReason({ relativePath }: PickedFile): string | undefined {
  if (relativePath.split('/').some((part) => part.startsWith('.'))) return 'hidden'
  const suffix = getExtension(relativePath.split('/').at(-1) ?? '')
  if (EXTENSIONS.includes(suffix)) return undefined
  return suffix || 'without an extension'
}
