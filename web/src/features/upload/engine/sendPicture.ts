// Sends the picture of an uploaded model, once the model is registered.

import { asProblem } from '@/api/problem'
import { notifyUntilClosed } from '@/components/notify'
import { setPreview } from '@/features/models/pictures/preview'
import { isSendable } from '@/features/upload/engine/pictures'
import { withRetry } from '@/features/upload/engine/retry'
import type { UploadRun } from '@/features/upload/engine/UploadRun'

/**
 * Send it once; a refused picture does not stop the upload, and one that is too large is not sent.
 *
 * A version that was there before keeps the picture that it has, and may be one that the person may not change.
 */
export async function sendPicture(run: UploadRun, modelId: string, version: number): Promise<void> {
  const { picture, teamId, outcome } = run.item
  if (!picture) return
  run.change({ picture: undefined })
  if (!isSendable(picture)) return
  const isOld = outcome === 'here already' || outcome === 'repaired'
  try {
    await withRetry(run, () => setPreview({ modelId, version, teamId, keepsExisting: isOld }, picture))
  } catch (error) {
    if (!(isOld && asProblem(error).status === 403))
      notifyUntilClosed(`The picture “${picture.name}” is not set. ${asProblem(error).message}`)
  }
}
