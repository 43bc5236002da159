// Looks up what is at a draft's path before the upload: the same file, a different file, or nothing.

import { Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { findItem, type Item, type NewestVersion } from '@/features/upload/engine/items'
import { findModelAt, findNewestVersion, presign } from '@/features/upload/engine/requests'
import { withRetry } from '@/features/upload/engine/retry'
import { Semaphore } from '@/features/upload/engine/Semaphore'
import { sendPicture } from '@/features/upload/engine/sendPicture'
import { findPathProblem } from '@/features/upload/engine/suggestPath'
import { UploadRun } from '@/features/upload/engine/UploadRun'

// Lookups that begin together share requests; a disk reads one file faster than two.
const hashLimit = new Semaphore(1)
const running = new Map<number, UploadRun>()
const scheduled = new Map<number, ReturnType<typeof setTimeout>>()

// Pause in typing before a path is looked up.
const TYPING_MILLISECONDS = 400

/** Find the model at the item's path, or null. */
export async function findExisting({ teamId, path }: Item): Promise<Model | null> {
  return (await findModelAt(teamId, path)) ?? null
}

/**
 * Look up the item's path; if a model is there, compare the files and find a free path.
 *
 * Cancels an earlier lookup of the same item.
 */
export async function peek(id: number): Promise<void> {
  stopPeek(id)
  const one = findItem(id)
  if (!one?.path || one.refusal || findPathProblem(one.path)) return
  const run = new UploadRun(id)
  running.set(id, run)
  try {
    const existing = await withRetry(run, () => findExisting(one))
    run.signal.throwIfAborted()
    run.change({ existing, ...(existing?.id !== run.item.replaces && { replaces: undefined }) })
    // Files of different sizes differ, so the person can decide before the file is hashed.
    if (existing && (existing.total_size ?? existing.file_size) !== run.item.file.size)
      await lookUpNewestVersion(run, existing)
    if (existing) await hashLimit.run(run.signal, () => compareContent(run, existing))
  } catch {
    // Stopped, unreadable or refused: the upload checks again and reports it.
  } finally {
    if (running.get(id) === run) running.delete(id)
  }
}

/** Look up the path after a pause in typing. */
export function peekSoon(id: number): void {
  stopPeek(id)
  scheduled.set(
    id,
    setTimeout(() => void peek(id), TYPING_MILLISECONDS),
  )
}

/** Cancel a running or scheduled lookup. */
export function stopPeek(id: number): void {
  clearTimeout(scheduled.get(id))
  scheduled.delete(id)
  running.get(id)?.stop()
  running.delete(id)
}

/** Look up the newest version of the existing model; a draft that becomes the next version then follows it. */
export async function lookUpNewestVersion(run: UploadRun, existing: Model): Promise<NewestVersion | undefined> {
  const newest = await withRetry(run, () => findNewestVersion(run.item.teamId, existing.id))
  const isUnseen = run.item.replaces === existing.id && run.item.expectedVersion === undefined
  run.change({ newest, ...(isUnseen && { expectedVersion: newest?.version }) })
  return newest
}

/** Compare the file with the current and the newest version; find a free path if it differs from both. */
export async function compareContent(run: UploadRun, existing: Model): Promise<void> {
  const ticking = setInterval(() => run.publish(), 250)
  const hash = await run.hash().finally(() => clearInterval(ticking))
  run.signal.throwIfAborted()
  const same = hash === existing.file_hash ? existing : (run.item.newest ?? (await lookUpNewestVersion(run, existing)))
  const isSame = same?.file_hash === hash && same.verification !== 'failed'
  if (isSame && run.item.stage === 'draft') {
    const { id: modelId, model_path: path } = existing
    run.change({ stage: 'done', outcome: 'here already', modelId, path, version: same.version })
    await sendPicture(run, existing.id, same.version)
  } else if (hash !== existing.file_hash) run.change({ freePath: await findFreePath(run) })
}

/** Return the free path that the registry suggests when it refuses a taken one, for which it needs the hash. */
async function findFreePath(run: UploadRun): Promise<string | undefined> {
  // A folder has no request with the hash of its manifest before its files are stored.
  if (run.item.folder) return undefined
  try {
    await withRetry(run, () => presign({ ...run.item, replaces: undefined }))
  } catch (error) {
    if (!(error instanceof Problem && error.is('model_path_taken'))) throw error
    const free = error.facts.free_path
    return typeof free === 'string' ? `models/${free}` : undefined
  }
  return undefined
}
