// Finds the models that dropped pictures belong to, by the name of the file.

import { api, unwrap } from '@/api/client'
import { runBatch, undoAll } from '@/api/runBatch'
import type { Model } from '@/api/types'
import { formatCount } from '@/components/format'
import { notifyFailures, notifyWithUndo } from '@/components/notify'
import { replacePreview } from '@/features/models/pictures/preview'
import { refreshLists } from '@/features/models/queries'
import { getPictureStem, getStem } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { Semaphore } from '@/features/upload/engine/Semaphore'

const PER_PAGE = 50
const MAX_CONCURRENT = 4
/** Each picture is a request. */
export const MAX_PICTURES = 200

export interface PictureMatch {
  picture: PickedFile
  /** The models of that name: a picture of several is for none of them. */
  models: Model[]
}

/** Look up the models of the team for each of the first `MAX_PICTURES` pictures. */
export function matchPictures(
  teamId: string,
  pictures: readonly PickedFile[],
  signal: AbortSignal,
): Promise<PictureMatch[]> {
  const limit = new Semaphore(MAX_CONCURRENT)
  return Promise.all(
    pictures.slice(0, MAX_PICTURES).map(async (picture) => ({
      picture,
      models: await limit.run(signal, () => findModels(teamId, getPictureStem(picture.relativePath), signal)),
    })),
  )
}

async function findModels(teamId: string, stem: string, signal: AbortSignal): Promise<Model[]> {
  // In quotes, no part of a file name is a qualifier of the search.
  const query = { q: `"${stem.replaceAll('"', ' ')}"`, per_page: PER_PAGE, cursor: '' }
  const page = await unwrap(api.GET('/api/v1/models', { params: { query, header: { 'X-Team-ID': teamId } }, signal }))
  return page.model_list.filter(({ model_path }) => getStem(model_path) === stem)
}

export interface PictureOf {
  model: Model
  picture: PickedFile
}

/** Give models their pictures; undo brings the pictures before back. Returns the messages of failures. */
export async function setPictures(teamId: string, pairs: PictureOf[]): Promise<string[]> {
  const { done, refused } = await runBatch(pairs, async ({ model, picture }) => {
    const { undo } = await replacePreview(model, picture.file, teamId)
    return undo
  })
  void refreshLists()
  if (done.length > 0) {
    notifyWithUndo(`${formatCount(done.length, 'picture')} set`, async () => {
      const failed = await undoAll(done)
      void refreshLists()
      notifyFailures('picture', 'changed back', failed)
    })
  }
  return refused.map(({ item, problem }) => `${item.picture.file.name}: ${problem.message}`)
}
