// The upload queue: start, pause, resume, cancel. It lives as long as the tab, in all views.

import { asProblem } from '@/api/problem'
import { currentSession, onSession } from '@/api/session'
import type { ModelVersion } from '@/api/types'
import { UNDO_MILLISECONDS } from '@/components/notify'
import { isKeptToConvert } from '@/features/models/refusals'
import { makeNextVersion } from '@/features/upload/engine/draft'
import { FileUnreadable } from '@/features/upload/engine/hashFile'
import {
  allItems,
  findItem,
  type Item,
  isActive,
  removeItems,
  restoreItem,
  updateItem,
} from '@/features/upload/engine/items'
import { compareContent, findExisting, lookUpNewestVersion, stopPeek } from '@/features/upload/engine/peek'
import { refreshSoon } from '@/features/upload/engine/refreshSoon'
import {
  abortMultipart,
  findVersionByHash,
  getVersion,
  presign,
  type SharedDetails,
  type UploadTicket,
} from '@/features/upload/engine/requests'
import {
  deleteResumeRecordOf,
  findResumeRecord,
  HEARTBEAT_MILLISECONDS,
  saveResumeRecord,
} from '@/features/upload/engine/resumeStore'
import { wait, withRetry } from '@/features/upload/engine/retry'
import { Semaphore } from '@/features/upload/engine/Semaphore'
import { sendPicture } from '@/features/upload/engine/sendPicture'
import { UploadRun } from '@/features/upload/engine/UploadRun'
import { isSameFile } from '@/features/upload/engine/unfinished'
import { forgetProgress, PathTaken, uploadFile, VersionOvertaken } from '@/features/upload/engine/uploadFile'
import { abandonFolder } from '@/features/upload/folders/storeFolder'
import { rememberUploaded } from '@/features/upload/recent/uploadedHere'

const MAX_CONCURRENT_FILES = 2
const PUBLISH_MILLISECONDS = 500
// This many queued files are presigned in advance, so that refusals are shown at once.
const MAX_PRECHECKED = 100

const runs = new Map<number, UploadRun>()
const notes = new Map<number, SharedDetails>()
const tickets = new Map<number, Promise<UploadTicket>>()
const prechecks = new Semaphore(MAX_PRECHECKED)

/** Put files into the queue. */
export function startUploads(ids: readonly number[], about: SharedDetails): void {
  for (const id of ids) {
    stopPeek(id)
    notes.set(id, about)
    updateItem(id, { stage: 'waiting', problem: undefined, note: '' })
    void precheck(id)
  }
  startNext()
}

export function pause(ids: readonly number[]): void {
  for (const id of ids) {
    const one = findItem(id)
    if (!one || !isActive(one)) continue
    stopRun(id)
    updateItem(id, { stage: 'paused', note: '', rate: 0 })
  }
  startNext()
}

/** Resume paused and failed uploads, and those with a conflict. */
export function resume(ids: readonly number[]): void {
  for (const id of ids) updateItem(id, { stage: 'waiting', problem: undefined, note: '', existing: undefined })
  startNext()
}

/** Resume with another path; stored bytes are not sent again. */
export function resumeAt(id: number, path: string): void {
  updateItem(id, { path, freePath: undefined, replaces: undefined, expectedVersion: undefined, isOvertaken: undefined })
  resume([id])
}

/** Resume as the next version of the model at the path. */
export function resumeAsNextVersion(id: number): void {
  makeNextVersion(id)
  resume([id])
}

/** Remove an upload from the list; stored parts are discarded when it can no longer be undone. */
export function cancel(id: number): { undo: () => void } | undefined {
  const one = findItem(id)
  if (!one) return undefined
  stopRun(id)
  removeItems([id])
  startNext()
  const unfinished = findResumeRecord(one)
  const timer = setTimeout(() => {
    const again = findListedAgain(one)
    abandonFolder(id, again)
    if (again) return
    deleteResumeRecordOf(one)
    if (unfinished)
      void abortMultipart({ storage_key: unfinished.storageKey, upload_id: unfinished.uploadId }).catch(() => {})
  }, UNDO_MILLISECONDS)
  const undo = () => {
    clearTimeout(timer)
    restoreItem({ ...one, stage: 'paused', note: '', rate: 0, activity: undefined })
    if (isActive(one)) resume([id])
  }
  return { undo }
}

/** Find the item of the same file, selected again, so that its upload continues with the stored parts. */
function findListedAgain(one: Item): Item | undefined {
  return allItems().find((other) => other.teamId === one.teamId && isSameFile(other.file, one.file))
}

function startNext(): void {
  for (const { id, stage } of allItems()) {
    if (runs.size >= MAX_CONCURRENT_FILES) return
    if (stage === 'waiting' && !runs.has(id)) void runUpload(id)
  }
}

async function runUpload(id: number): Promise<void> {
  const run = new UploadRun(id, notes.get(id))
  runs.set(id, run)
  updateItem(id, { stage: 'working' })
  try {
    const ticket = await takeTicket(id)
    run.signal.throwIfAborted()
    const delivered = await uploadFile(run, ticket)
    rememberUploaded(run.item, delivered.modelId)
    updateItem(id, { stage: 'verifying', ...delivered, note: '', rate: 0, activity: undefined })
    void waitForVerification(id)
  } catch (error) {
    if (!run.signal.aborted) handleFailure(run, id, error)
  } finally {
    run.stop()
    if (runs.get(id) === run) runs.delete(id)
    startNext()
  }
}

/** Return the ticket that was requested for a queued file, if any: a second one would reserve its bytes twice. */
function takeTicket(id: number): Promise<UploadTicket | undefined> | undefined {
  const ticket = tickets.get(id)
  tickets.delete(id)
  return ticket?.catch(() => undefined)
}

function handleFailure(run: UploadRun, id: number, error: unknown): void {
  const idle = { note: '', rate: 0, activity: undefined }
  const isOvertaken = error instanceof VersionOvertaken || asProblem(error).is('version_conflict')
  if (isOvertaken || error instanceof PathTaken || asProblem(error).is('model_path_taken')) {
    // Look up the path again, because it was taken meanwhile, or got a newer version.
    updateItem(id, { stage: 'conflict', ...idle, isOvertaken, newest: undefined })
    void describeConflict(id)
  } else if (error instanceof FileUnreadable) {
    const message = 'It was moved, deleted or changed after you selected it. Select it again.'
    updateItem(id, { stage: 'failed', ...idle, problem: { title: 'The file can no longer be read', message } })
  } else {
    const { title, message } = asProblem(error)
    updateItem(id, { stage: 'failed', ...idle, problem: { title, message } })
  }
  run.publish()
}

/** Find the existing model, both hashes and a free path. */
async function describeConflict(id: number): Promise<void> {
  const run = new UploadRun(id)
  try {
    const existing = await withRetry(run, () => findExisting(run.item))
    run.change({ existing })
    if (!existing) return
    await lookUpNewestVersion(run, existing)
    await compareContent(run, existing)
  } catch {
    // The conflict is shown without hashes.
  }
}

/** Wait until the registry has verified the file: files in a bucket and expensive files are verified later. */
async function waitForVerification(id: number): Promise<void> {
  const run = new UploadRun(id)
  try {
    for (let pause = 300; ; pause = Math.min(5_000, pause * 1.5)) {
      const found = await withRetry(run, () => readUploadedVersion(run.item))
      updateItem(id, { version: found.version, isSuperseded: found.version_status === 'superseded' })
      if (run.item.modelId) await sendPicture(run, run.item.modelId, found.version)
      if (found.verification === 'verified' || isKeptToConvert(found)) break
      if (found.verification === 'failed') {
        const message = found.verification_error ?? 'The stored file does not match its declared hash.'
        const title =
          'refusal' in found.metadata ? 'This is not a model file' : 'The stored file differs from your file'
        forgetProgress(run.item)
        return updateItem(id, { stage: 'failed', problem: { title, message } })
      }
      // Its row then says why it waits, for as long as it does.
      if (found.verification_error) break
      await wait(pause, run.signal)
    }
    updateItem(id, { stage: 'done', problem: undefined })
  } catch (error) {
    const { title, message } = asProblem(error)
    updateItem(id, { stage: 'failed', problem: { title, message } })
  }
  refreshSoon()
}

/** Read the version that has the uploaded content: the current one of the model may be another. */
async function readUploadedVersion({ teamId, modelId = '', version, hash }: Item): Promise<ModelVersion> {
  const found = version === undefined && (await findVersionByHash(teamId, modelId, hash))
  return found || getVersion(teamId, modelId, version ?? 1)
}

/** Presign a queued file, so that quota, disk and path are checked before it starts. */
async function precheck(id: number): Promise<void> {
  await prechecks.run(new AbortController().signal, async () => {
    const one = findItem(id)
    if (
      one?.stage !== 'waiting' ||
      tickets.size >= MAX_PRECHECKED ||
      findResumeRecord(one) ||
      one.storedKey ||
      one.folder
    )
      return
    const ticket = presign(one)
    tickets.set(id, ticket)
    try {
      await ticket
    } catch (error) {
      if (tickets.get(id) === ticket) tickets.delete(id)
      const problem = asProblem(error)
      const isFinal = [403, 422, 507].includes(problem.status) && findItem(id)?.stage === 'waiting'
      if (isFinal) updateItem(id, { stage: 'failed', problem: { title: problem.title, message: problem.message } })
    }
  })
}

function stopRun(id: number): void {
  stopPeek(id)
  tickets.delete(id)
  runs.get(id)?.stop()
  runs.delete(id)
}

/** Uploads of one person are not continued by another person who signs in. */
function removeItemsOfOthers(): void {
  const session = currentSession()
  if (session.state !== 'signed-in') return
  const others = allItems().filter((one) => one.userId !== session.me.id)
  for (const one of others) stopRun(one.id)
  if (others.length > 0) removeItems(others.map((one) => one.id))
}

function onLeaving(event: BeforeUnloadEvent): void {
  if (allItems().some(isActive)) event.preventDefault()
}

/** Release the uploads, so that another tab, or this one after a reload, can resume them at once. */
function releaseUploads(): void {
  for (const { id } of allItems()) {
    const unfinished = runs.get(id)?.record
    const one: Item | undefined = findItem(id)
    if (unfinished && one) saveResumeRecord(one, { ...unfinished, beat: 0 })
  }
}

onSession(removeItemsOfOthers)
addEventListener('beforeunload', onLeaving)
addEventListener('pagehide', releaseUploads)
setInterval(() => {
  for (const run of runs.values()) run.publish()
}, PUBLISH_MILLISECONDS)
setInterval(() => {
  for (const run of runs.values()) run.sendHeartbeat()
}, HEARTBEAT_MILLISECONDS)
