// Uploads a file, unless it is already stored, hashes it in parallel, and registers it as a model.

import { Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { findRepaired, type Item, updateItem } from '@/features/upload/engine/items'
import { findExisting, lookUpNewestVersion } from '@/features/upload/engine/peek'
import { initiateMultipart, presign, registerModel, type UploadTicket } from '@/features/upload/engine/requests'
import {
  deleteCachedHash,
  deleteResumeRecordOf,
  findResumeRecord,
  HEARTBEAT_MILLISECONDS,
  isActiveElsewhere,
  type ResumeRecord,
  TAB_ID,
} from '@/features/upload/engine/resumeStore'
import { wait, withRetry } from '@/features/upload/engine/retry'
import { completeUpload, findStoredParts, sendParts, sendWhole } from '@/features/upload/engine/sendParts'
import type { UploadRun } from '@/features/upload/engine/UploadRun'
import { forgetFolder, forgetStored, storeFolder } from '@/features/upload/folders/storeFolder'
import { readSidecarDetails } from '@/features/upload/sidecars/readDetails'
import type { ProblemCode } from '@/generated/problems'

// A URL that expires sooner may expire before the last byte is sent.
const MIN_URL_LIFETIME_MILLISECONDS = 20 * 60_000
// After these problems the stored bytes are useless, and the next attempt restarts.
const RESTART_CODES: ProblemCode[] = [
  'upload_not_found',
  'upload_used',
  'upload_incomplete',
  'size_mismatch',
  'hash_mismatch',
  'not_a_model_file',
]

/** A different file is at the path: the person has to decide. */
export class PathTaken extends Error {}

/** The model has a newer version than the person has seen: the person has to decide. */
export class VersionOvertaken extends Error {}

/** The result of an upload with the id of the model; `path` if the model was there, maybe spelled otherwise. */
type UploadResult = { modelId: string } & Pick<Item, 'outcome' | 'ignored'> & { path?: string }

/**
 * Upload a file and register it as a model, sending only bytes that the registry does not have.
 *
 * @throws PathTaken
 * @throws VersionOvertaken
 * @throws Problem the registry refused; transient failures are retried.
 * @throws FileUnreadable
 */
export async function uploadFile(run: UploadRun, vetted: UploadTicket | undefined): Promise<UploadResult> {
  await waitForOtherTab(run)
  const held = await findSameContent(run)
  if (held) return { modelId: held.id, path: held.model_path, outcome: 'here already' }
  const isRepair = findRepaired(run.item) !== undefined
  // The registry finds the version by its hash. A request for the next version would compare the newest one only.
  if (isRepair) run.change({ replaces: undefined, expectedVersion: undefined })
  try {
    const storageKey = run.item.storedKey ?? (await storeContent(run, vetted))
    if (!run.item.hash) run.setActivity('reading on')
    const hash = await run.hash()
    run.setActivity('registering')
    const details = await readSidecarDetails(run.item.detailFiles ?? [], hash)
    const content = { storageKey, hash, details }
    const registered = await withRetry(run, () => registerModel(run.item, content, run.notes))
    deleteResumeRecordOf(run.item)
    forgetStored(run.item.id)
    run.record = undefined
    const outcome = isRepair ? 'repaired' : run.item.replaces ? 'new version' : 'registered'
    return { modelId: registered.id, ignored: registered.ignored_list, outcome }
  } catch (error) {
    // Content whose size is known would be refused again, after all of it was sent.
    if (error instanceof Problem && error.is(...RESTART_CODES) && error.facts.known === undefined) restart(run, error)
    throw error
  }
}

/** Return the model at this path if its current or its newest version has the same content, and is not failed. */
async function findSameContent(run: UploadRun): Promise<Model | undefined> {
  const existing =
    run.item.existing === undefined ? await withRetry(run, () => findExisting(run.item)) : run.item.existing
  run.change({ existing })
  if (!existing) return undefined
  if ((existing.total_size ?? existing.file_size) === run.item.file.size) {
    run.setActivity('comparing')
    if (existing.file_hash === (await run.hash())) return existing.verification === 'failed' ? undefined : existing
  }
  if (findRepaired(run.item)) return undefined
  if (existing.id !== run.item.replaces) throw new PathTaken()
  return findSameNewestVersion(run, existing)
}

/** Return the model if its newest version has the same content, and check that this is the expected one. */
async function findSameNewestVersion(run: UploadRun, existing: Model): Promise<Model | undefined> {
  const newest = await lookUpNewestVersion(run, existing)
  if (!newest) return undefined
  if ((newest.total_size ?? newest.file_size) === run.item.file.size && newest.verification !== 'failed') {
    run.setActivity('comparing')
    if (newest.file_hash === (await run.hash())) return existing
  }
  if (newest.version !== run.item.expectedVersion) throw new VersionOvertaken()
  return undefined
}

/** Store the content and return its storage key; resumes an earlier upload if possible. */
async function storeContent(run: UploadRun, vetted: UploadTicket | undefined): Promise<string> {
  if (run.item.folder) return storeFolder(run)
  const unfinished = findResumeRecord(run.item)
  const storageKey = (unfinished && (await resumeUpload(run, unfinished))) ?? (await sendContent(run, vetted))
  run.change({ storedKey: storageKey, sent: run.item.file.size })
  return storageKey
}

/** Resume an earlier upload; undefined if it no longer exists. */
async function resumeUpload(run: UploadRun, unfinished: ResumeRecord): Promise<string | undefined> {
  run.saveRecord({ ...unfinished, tab: TAB_ID, beat: Date.now() })
  try {
    if (unfinished.sent) {
      await completeUpload(run, unfinished, unfinished.sent)
      return unfinished.storageKey
    }
    const parts = await findStoredParts(run, unfinished)
    if (!parts) return undefined
    run.setActivity('sending')
    run.noteStoredBytes(parts.reduce((sum, { size }) => sum + size, 0))
    await whileHashing(run, sendParts(run, unfinished, parts))
    return unfinished.storageKey
  } catch (error) {
    if (error instanceof Problem && error.is('upload_not_found', 'parts_wrong')) return undefined
    throw error
  }
}

async function sendContent(run: UploadRun, vetted: UploadTicket | undefined): Promise<string> {
  const isUsable = vetted && vetted.expiresAt - Date.now() > MIN_URL_LIFETIME_MILLISECONDS && !run.item.hash
  const continueUpload = ({ storageKey }: { storageKey?: string }) =>
    withRetry(run, () => presign({ ...run.item, storageKey }))
  let ticket = isUsable ? vetted : await continueUpload(vetted ?? {})
  if (ticket.hashFirst) {
    run.setActivity('comparing')
    await run.hash()
    ticket = await continueUpload(ticket)
  }
  if (ticket.isStored) return ticket.storageKey
  run.setActivity('sending')
  run.resetProgress(0)
  if (ticket.inParts) await whileHashing(run, sendMultipart(run, ticket))
  else await whileHashing(run, sendWhole(run, ticket))
  return ticket.storageKey
}

async function sendMultipart(run: UploadRun, ticket: UploadTicket): Promise<void> {
  const { file, fingerprint, teamId, path, replaces, expectedVersion, versionNote } = run.item
  const started = await withRetry(run, () => initiateMultipart(ticket.storageKey, file.size))
  const now = Date.now()
  run.saveRecord({
    ...{ teamId, name: file.name, size: file.size, lastModified: file.lastModified, fingerprint, path },
    ...{ replaces, expectedVersion, versionNote },
    ...{ storageKey: ticket.storageKey, uploadId: started.upload_id, partSize: started.part_size },
    ...{ notes: run.notes, begun: now, tab: TAB_ID, beat: now },
  })
  await sendParts(run, run.record as ResumeRecord, [])
}

/** Hash while sending. If the file cannot be read, both fail. */
async function whileHashing(run: UploadRun, sending: Promise<void>): Promise<void> {
  const hash = run.hash()
  await Promise.race([sending, hash.then(() => sending)])
}

/** Wait while another tab uploads the same file, which is then already stored. */
async function waitForOtherTab(run: UploadRun): Promise<void> {
  for (let other = findResumeRecord(run.item); other && isActiveElsewhere(other); other = findResumeRecord(run.item)) {
    run.change({ note: 'Another tab is uploading this file.', existing: undefined })
    await wait(HEARTBEAT_MILLISECONDS, run.signal)
  }
  run.setNote('')
}

function restart(run: UploadRun, problem: Problem): void {
  run.record = undefined
  forgetProgress(run.item, problem)
}

/** Delete the saved progress and hash of a file; of a folder, only what the problem is about. */
export function forgetProgress(one: Item, problem?: Problem): void {
  deleteResumeRecordOf(one)
  deleteCachedHash(one.file)
  if (one.folder) forgetFolder(one, problem)
  updateItem(one.id, { storedKey: undefined, storedFolder: undefined, hash: undefined, sent: 0, hashed: 0 })
}
