// Requests that set and remove the preview picture of a version.

import { api, unwrap } from '@/api/client'
import { Problem } from '@/api/problem'
import type { Undo } from '@/api/runBatch'
import type { Model } from '@/api/types'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { refreshShown } from '@/features/models/queries'
import { readVersion } from '@/features/models/versions/queries'

/** Picture formats that the registry decodes, as a file picker takes them. */
export const PICTURE_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/avif']

interface Place {
  modelId: string
  version: number
  /** The team, if it may not be the one that the page shows. */
  teamId?: string
  /** Leave a picture that the version has as it is. */
  keepsExisting?: boolean
}

export async function setPreview({ modelId, version, teamId, keepsExisting }: Place, picture: Blob): Promise<void> {
  await unwrap(
    api.PUT('/api/v1/models/{model_id}/versions/{version}/preview', {
      params: {
        path: { model_id: modelId, version },
        ...(keepsExisting && { query: { replace: false } }),
        ...(teamId !== undefined && { header: { 'X-Team-ID': teamId } }),
      },
      // The generated type of a binary body is text.
      body: picture as unknown as string,
      bodySerializer: (body) => body,
      headers: { 'Content-Type': picture.type || 'application/octet-stream' },
    }),
  )
}

async function removePreview({ modelId, version, teamId }: Place): Promise<void> {
  await unwrap(
    api.DELETE('/api/v1/models/{model_id}/versions/{version}/preview', {
      params: {
        path: { model_id: modelId, version },
        ...(teamId !== undefined && { header: { 'X-Team-ID': teamId } }),
      },
    }),
  )
}

/** Set the picture of the shown version; undo puts the one before back, or removes the new one. */
export async function replacePreview(model: Model, picture: Blob, teamId?: string): Promise<PictureChange> {
  const place = getPlace(model, teamId)
  const before = await readOwnPicture(model, teamId)
  await setPreview(place, picture)
  return { had: before !== undefined, undo: () => (before ? setPreview(place, before) : removePreview(place)) }
}

interface PictureChange {
  /** Whether the version had a picture itself. */
  had: boolean
  undo: Undo
}

export async function setPreviewWithUndo(model: Model, picture: Blob): Promise<void> {
  try {
    const { had, undo } = await replacePreview(model, picture)
    await notifyChanged(model, had ? 'The picture is replaced.' : 'The picture is added.', undo)
  } catch (error) {
    notifyError(error)
  }
}

export async function removePreviewWithUndo(model: Model): Promise<void> {
  const place = getPlace(model)
  try {
    const before = await readOwnPicture(model)
    // Another person has removed it.
    if (!before) return await refreshShown(model.id)
    await removePreview(place)
    await notifyChanged(model, 'The picture is removed.', () => setPreview(place, before))
  } catch (error) {
    notifyError(error)
  }
}

async function notifyChanged({ id }: Model, done: string, undo: Undo): Promise<void> {
  await refreshShown(id)
  notifyWithUndo(done, async () => {
    await undo()
    await refreshShown(id)
  })
}

function getPlace({ id, version }: Model, teamId?: string): Place {
  return { modelId: id, version, ...(teamId !== undefined && { teamId }) }
}

/** Read the larger size of the picture of the shown version itself; undefined if it has none. */
async function readOwnPicture(model: Model, teamId?: string): Promise<Blob | undefined> {
  const { preview_url: url } = await readVersion(model, { teamId })
  if (!url) return undefined
  const answer = await fetch(`${url}?size=2`)
  if (!answer.ok) throw unreadablePicture(answer.status)
  return answer.blob()
}

/** Return the problem that keeps a picture from being changed: undo could not bring the one before back. */
function unreadablePicture(status: number): Problem {
  return new Problem({
    type: '/problems/unreadable-picture',
    title: 'The picture is unchanged',
    status,
    detail: 'The present picture could not be read, so Undo could not bring it back. Reload the page and try again.',
    error_message: '',
    error_code: 'unreadable_picture',
    request_id: null,
    errors: null,
  })
}
