// The state of one running upload: abort signal, progress, hash and resume record.

import { FileUnreadable, type HashCheckpoint, hashFile, hashFiles } from '@/features/upload/engine/hashFile'
import { type Activity, type FolderFile, findItem, type Item, updateItem } from '@/features/upload/engine/items'
import { RateMeter } from '@/features/upload/engine/RateMeter'
import { NO_DETAILS, type SharedDetails } from '@/features/upload/engine/requests'
import {
  cacheHash,
  decodeCheckpoint,
  encodeCheckpoint,
  findResumeRecord,
  type ResumeRecord,
  saveResumeRecord,
  TAB_ID,
} from '@/features/upload/engine/resumeStore'
import type { RetryContext } from '@/features/upload/engine/retry'
import { buildManifest } from '@/features/upload/folders/manifest'

// Hash checkpoints survive a pause, because the file stays the same.
const checkpoints = new Map<number, HashCheckpoint>()

export class UploadRun implements RetryContext {
  private readonly controller = new AbortController()
  private readonly meter = new RateMeter()
  private readonly inFlight = new Map<number, number>()
  private hashing: Promise<string> | undefined
  private storedBytes = 0
  private hashed = 0
  private activity: Activity | undefined
  /** The resume record of a multipart upload. */
  record: ResumeRecord | undefined

  constructor(
    private readonly id: number,
    readonly notes: SharedDetails = NO_DETAILS,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal
  }

  get item(): Item {
    const one = findItem(this.id)
    if (!one) throw new DOMException('The file was removed from the list.', 'AbortError')
    return one
  }

  setNote = (note: string): void => updateItem(this.id, { note })

  change(changed: Parameters<typeof updateItem>[1]): void {
    updateItem(this.id, changed)
  }

  setActivity(activity: Activity): void {
    this.activity = activity
    this.change({ activity, note: '' })
  }

  /** Stop all work; may be called twice. */
  stop(): void {
    if (this.signal.aborted) return
    this.controller.abort(new DOMException('It was stopped.', 'AbortError'))
    if (this.record) this.saveRecord({ ...this.record, beat: 0 })
  }

  /** Return the file's hash; computed once, in parallel with other work. */
  hash(): Promise<string> {
    this.hashing ??= this.hashOnce()
    return this.hashing
  }

  private async hashOnce(): Promise<string> {
    const { file, fingerprint, folder, hash: known } = this.item
    if (known) return known
    if (folder) return this.hashFolder(folder)
    const from = checkpoints.get(this.id) ?? decodeCheckpoint(findResumeRecord(this.item)?.halfway)
    const hash = await hashFile(file, this.signal, (done, state) => this.onHashProgress(done, state), from)
    checkpoints.delete(this.id)
    cacheHash(file, fingerprint, hash)
    this.change({ hash, hashed: file.size })
    return hash
  }

  private async hashFolder(folder: FolderFile[]): Promise<string> {
    const files = folder.map(({ file }) => file)
    const hashes = await hashFiles(files, this.signal, (done) => this.onHashProgress(done, undefined))
    const hashed = folder.map((one, index) => ({ ...one, hash: hashes[index] }))
    const [hash = ''] = await hashFiles([buildManifest(hashed)], this.signal, () => {})
    this.change({ hash, folder: hashed, hashed: this.item.file.size })
    return hash
  }

  private onHashProgress(done: number, state: Uint8Array | undefined): void {
    this.hashed = done
    if (!state) return
    checkpoints.set(this.id, { done, state })
    if (this.record) this.saveRecord({ ...this.record, halfway: encodeCheckpoint({ done, state }) })
  }

  /** Record the sent bytes of a part in flight. */
  updatePart(part: number, sent: number): void {
    this.inFlight.set(part, sent)
  }

  /** Record that a part is stored, or with size 0 that an attempt failed. */
  finishPart(part: number, size: number): void {
    this.inFlight.delete(part)
    this.storedBytes += size
  }

  /** Show how much is already stored, until the next part is stored. */
  noteStoredBytes(kept: number): void {
    if (kept > 0) this.setNote(`${Math.floor((100 * kept) / this.item.file.size)} % already stored; continuing…`)
  }

  resetProgress(arrived: number): void {
    this.inFlight.clear()
    this.storedBytes = arrived
    this.publish()
  }

  saveRecord(unfinished: ResumeRecord): void {
    this.record = unfinished
    const one = findItem(this.id)
    if (one) saveResumeRecord(one, unfinished)
  }

  /** Publish the progress of the upload. */
  publish(): void {
    const one = findItem(this.id)
    if (!one) return
    const flying = [...this.inFlight.values()].reduce((sum, part) => sum + part, 0)
    const sent = Math.min(one.file.size, this.storedBytes + flying)
    const hashed = one.hash ? one.file.size : this.hashed
    const rate = this.meter.rate(this.activity === 'sending' ? sent : hashed)
    updateItem(this.id, { sent, hashed, rate })
  }

  sendHeartbeat(): void {
    if (this.record && !this.signal.aborted) this.saveRecord({ ...this.record, tab: TAB_ID, beat: Date.now() })
  }

  /** @throws FileUnreadable the file is gone or has changed, which can look like a network failure. */
  async checkFile(): Promise<void> {
    await this.item.file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        throw new FileUnreadable()
      })
  }
}
