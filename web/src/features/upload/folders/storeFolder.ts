// Stores the files of a folder and its manifest, sending only content that the registry does not have.

import { Problem } from '@/api/problem'
import { FileUnreadable, forgetHashes } from '@/features/upload/engine/hashFile'
import { type FolderFile, findItem, type Item, isActive } from '@/features/upload/engine/items'
import { abortMultipart, initiateMultipart, presign, type UploadTicket } from '@/features/upload/engine/requests'
import { withRetry } from '@/features/upload/engine/retry'
import {
  findStoredParts,
  type SendingRun,
  type StartedUpload,
  sendParts,
  sendWhole,
} from '@/features/upload/engine/sendParts'
import type { UploadRun } from '@/features/upload/engine/UploadRun'
import { buildManifest } from '@/features/upload/folders/manifest'
import type { ProblemCode } from '@/generated/problems'

// Presigned together: few enough that each URL is used long before it expires.
const FILES_AT_ONCE = 20
// A multipart upload has at most 10,000 parts.
const SLOTS_OF_FILE = 10_001

// After these problems an upload that was started cannot be continued.
const LOST_CODES: ProblemCode[] = ['upload_not_found', 'upload_used', 'parts_wrong']

/** What is stored of a folder and not registered yet, by content hash; it survives a pause. */
interface Progress {
  /** The team and the person. */
  owner: string
  keys: Map<string, string>
  started: Map<string, StartedUpload>
}

const progressOf = new Map<number, Progress>()

/** Store a folder and return the storage key of its manifest. */
export async function storeFolder(run: UploadRun): Promise<string> {
  run.setActivity('comparing')
  const manifestHash = await run.hash()
  const { folder = [] } = run.item
  const manifest = buildManifest(folder)
  const progress = getProgress(run.item)
  run.setActivity('sending')
  const contents = new Map([...folder.map(({ hash = '', file }) => [hash, file] as const), [manifestHash, manifest]])
  takeStored(run.item, contents.keys())
  const missing = [...contents].filter(([hash]) => !progress.keys.has(hash))
  const missingBytes = missing.reduce((sum, [, file]) => sum + file.size, 0)
  run.resetProgress(Math.max(0, run.item.file.size - missingBytes))
  for (let start = 0; start < missing.length; start += FILES_AT_ONCE) {
    const some = missing.slice(start, start + FILES_AT_ONCE)
    await Promise.all(
      some.map(([hash, file], index) => storeFile(new FileRun(run, file, hash, start + index, progress))),
    )
  }
  const fileList = folder.map(({ path, hash = '' }) => ({ path, storage_key: progress.keys.get(hash) ?? '' }))
  const storedKey = progress.keys.get(manifestHash) ?? ''
  run.change({ storedKey, storedFolder: { manifestSize: manifest.size, fileList }, sent: run.item.file.size })
  return storedKey
}

function getProgress({ id, teamId, userId }: Item): Progress {
  const owner = `${teamId} ${userId}`
  const progress = progressOf.get(id) ?? { owner, keys: new Map(), started: new Map() }
  progressOf.set(id, progress)
  return progress
}

/** Take over what is stored of these contents for folders that are not uploaded now: failed, paused or cancelled. */
function takeStored(one: Item, hashes: Iterable<string>): void {
  const own = getProgress(one)
  const wanted = [...hashes]
  for (const [id, other] of progressOf) {
    const item = findItem(id)
    if (id === one.id || other.owner !== own.owner || (item && isActive(item))) continue
    for (const hash of wanted) {
      moveEntry(other.keys, own.keys, hash)
      moveEntry(other.started, own.started, hash)
    }
  }
}

function moveEntry<Value>(from: Map<string, Value>, to: Map<string, Value>, hash: string): void {
  const value = from.get(hash)
  if (value === undefined || to.has(hash)) return
  to.set(hash, value)
  from.delete(hash)
}

/** Forget what is stored of a folder that is registered: no other registration can use its uploads. */
export function forgetStored(id: number): void {
  progressOf.delete(id)
}

/**
 * Forget what a problem says is wrong of a folder, and the hashes of these files; what else is stored stays.
 *
 * A problem that names no file is about the manifest. Without a problem everything is forgotten.
 */
export function forgetFolder({ id, folder = [], hash = '' }: Item, problem?: Problem): void {
  const named = problem ? folder.filter((file, position) => isNamed(problem, file, position)) : folder
  forgetHashes(named.map(({ file }) => file))
  const wrong = named.length > 0 ? named.map((file) => file.hash ?? '') : [hash]
  if (!problem) forgetStored(id)
  else for (const each of wrong) progressOf.get(id)?.keys.delete(each)
}

/** Return whether a refused registration names this file, whose place in its list of files is `position`. */
function isNamed({ facts, fields }: Problem, { path }: FolderFile, position: number): boolean {
  return facts.path === path || `file_list.${position}.storage_key` in fields
}

/** Discard the stored parts of a folder that was cancelled, or leave them to the same folder, listed again. */
export function abandonFolder(id: number, again?: Item): void {
  const abandoned = progressOf.get(id)
  if (!abandoned) return
  if (again) {
    takeStored(again, [...abandoned.keys.keys(), ...abandoned.started.keys()])
    return
  }
  // Complete files stay in the store for some days, and are used if the folder is uploaded again.
  for (const { storageKey, uploadId } of abandoned.started.values()) {
    void abortMultipart({ storage_key: storageKey, upload_id: uploadId }).catch(() => {})
  }
  abandoned.started.clear()
}

/** One file of a folder that is sent; its parts count for the upload of the folder. */
class FileRun implements SendingRun {
  constructor(
    readonly upload: UploadRun,
    readonly file: File,
    readonly hash: string,
    private readonly index: number,
    readonly progress: Progress,
  ) {}

  get item() {
    return { file: this.file, note: this.upload.item.note }
  }

  get signal(): AbortSignal {
    return this.upload.signal
  }

  get record(): StartedUpload | undefined {
    return this.progress.started.get(this.hash)
  }

  setNote = (note: string): void => this.upload.setNote(note)

  updatePart(part: number, sent: number): void {
    this.upload.updatePart(this.getSlot(part), sent)
  }

  finishPart(part: number, size: number): void {
    this.upload.finishPart(this.getSlot(part), size)
  }

  /** Count the parts that are stored already. */
  resetProgress(arrived: number): void {
    this.finishPart(0, arrived)
  }

  saveRecord(unfinished: StartedUpload): void {
    this.progress.started.set(this.hash, unfinished)
  }

  /** @throws FileUnreadable the file is gone or has changed, which can look like a network failure. */
  async checkFile(): Promise<void> {
    await this.file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        throw new FileUnreadable()
      })
  }

  private getSlot(part: number): number {
    return this.index * SLOTS_OF_FILE + part
  }
}

async function storeFile(run: FileRun): Promise<void> {
  const { hash, progress, upload } = run
  try {
    const key = (await resumeFile(run)) ?? (await sendFile(run, upload.item))
    progress.keys.set(hash, key)
    progress.started.delete(hash)
  } catch (error) {
    if (error instanceof Problem && error.is(...LOST_CODES)) progress.started.delete(hash)
    throw error
  }
}

/** Send the missing parts of a file whose upload was paused; undefined if there is none. */
async function resumeFile(run: FileRun): Promise<string | undefined> {
  const started = run.record
  const parts = started && (await findStoredParts(run, started))
  if (!parts) return undefined
  await sendParts(run, started, parts)
  return started.storageKey
}

async function sendFile(run: FileRun, { teamId, path, replaces }: Item): Promise<string> {
  const { file, hash } = run
  const ask = () => withRetry(run, () => presign({ teamId, path, replaces, file, hash, isInFolder: true }))
  const ticket = await ask()
  try {
    await sendContent(run, ticket)
    return ticket.storageKey
  } catch (error) {
    if (!(error instanceof Problem && [401, 403].includes(error.status))) throw error
    // The URL has expired while other files were sent.
    const fresh = await ask()
    await sendContent(run, fresh)
    return fresh.storageKey
  }
}

async function sendContent(run: FileRun, ticket: UploadTicket): Promise<void> {
  const { file } = run
  if (ticket.isStored) return run.finishPart(0, file.size)
  if (!ticket.inParts) return sendWhole(run, ticket)
  const started = await withRetry(run, () => initiateMultipart(ticket.storageKey, file.size))
  const record = { storageKey: ticket.storageKey, uploadId: started.upload_id, partSize: started.part_size }
  run.saveRecord(record)
  await sendParts(run, record, [])
}
