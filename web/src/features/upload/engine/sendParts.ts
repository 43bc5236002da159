// Sends a file to storage: in one PUT, or in parallel parts that can be resumed after a reload.

import { Problem, unreachable } from '@/api/problem'
import { type PutResult, putPart } from '@/features/upload/engine/putPart'
import {
  completeMultipart,
  listStoredParts,
  type Multipart,
  type Part,
  presignParts,
  type SignedUrl,
  type StoredPart,
  type UploadTicket,
} from '@/features/upload/engine/requests'
import type { ResumeRecord } from '@/features/upload/engine/resumeStore'
import { backOff, isTransient, type RetryContext, withRetry } from '@/features/upload/engine/retry'
import { Semaphore } from '@/features/upload/engine/Semaphore'

/** A multipart upload that was started; `sent` are all of its parts, once all are stored. */
export type StartedUpload = Pick<ResumeRecord, 'storageKey' | 'uploadId' | 'partSize' | 'sent'>

/** What sends a file: a running upload, or one file of a folder. */
export interface SendingRun extends RetryContext {
  readonly item: { readonly file: Blob; readonly note: string }
  readonly record: StartedUpload | undefined
  updatePart(part: number, sent: number): void
  finishPart(part: number, size: number): void
  resetProgress(arrived: number): void
  saveRecord(unfinished: StartedUpload): void
  checkFile(): Promise<void>
}

const MAX_CONCURRENT_PUTS = 4
// URLs are presigned in small batches, so that each is used long before it expires.
const URLS_PER_REQUEST = 16
const MAX_EXPIRED_IN_A_ROW = 2
const slots = new Semaphore(MAX_CONCURRENT_PUTS)

/**
 * PUT the whole file.
 *
 * An attempt whose response was lost may have been stored: 412 on a retry means success.
 *
 * @throws Problem with 401 or 403 if the URL has expired, among others.
 */
export async function sendWhole(run: SendingRun, ticket: UploadTicket): Promise<void> {
  for (let failures = 1; ; failures += 1) {
    const answer = await tryPut(run, 1, ticket, run.item.file)
    if (answer.isStored || (answer.status === 412 && failures > 1)) return run.finishPart(1, run.item.file.size)
    await waitOrThrow(run, failures, answer, ticket)
  }
}

/** List the stored parts of an unfinished upload; undefined if the upload no longer exists. */
export async function findStoredParts(run: SendingRun, unfinished: StartedUpload): Promise<StoredPart[] | undefined> {
  try {
    const found = await withRetry(run, () => listStoredParts(getMultipartIds(unfinished)))
    return found.filter((part) => part.size === getPartSize(run, unfinished, part.part_number))
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return undefined
    throw error
  }
}

/** Send the missing parts and complete the upload. */
export async function sendParts(run: SendingRun, unfinished: StartedUpload, held: readonly Part[]): Promise<void> {
  const parts = new Map(held.map((part) => [part.part_number, part.etag]))
  run.resetProgress(held.reduce((sum, part) => sum + getPartSize(run, unfinished, part.part_number), 0))
  const count = Math.ceil(run.item.file.size / unfinished.partSize)
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !parts.has(number))
  const addresses = new UrlCache(run, getMultipartIds(unfinished), missing)
  const work = async () => {
    for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
      parts.set(number, await sendPart(run, unfinished, number, addresses))
    }
  }
  await Promise.all(Array.from({ length: MAX_CONCURRENT_PUTS }, work))
  const all = [...parts].sort(([a], [b]) => a - b).map(([part_number, etag]) => ({ part_number, etag }))
  await completeUpload(run, unfinished, all)
}

/** Complete the upload. Idempotent: after a reload it is repeated from the saved record. */
export async function completeUpload(run: SendingRun, unfinished: StartedUpload, sent: Part[]): Promise<void> {
  run.saveRecord({ ...(run.record ?? unfinished), sent })
  await withRetry(run, () => completeMultipart(getMultipartIds(unfinished), sent))
}

async function sendPart(
  run: SendingRun,
  unfinished: StartedUpload,
  number: number,
  addresses: UrlCache,
): Promise<string> {
  const start = (number - 1) * unfinished.partSize
  const bytes = run.item.file.slice(start, start + unfinished.partSize)
  let expired = 0
  for (let failures = 1; ; failures += 1) {
    const address = await addresses.get(number)
    const answer = await tryPut(run, number, address, bytes)
    if (answer.isStored) {
      run.finishPart(number, bytes.size)
      if (answer.etag) return answer.etag
      throw missingEtag()
    }
    if ([401, 403].includes(answer.status) && expired < MAX_EXPIRED_IN_A_ROW) {
      expired += 1
      addresses.expire()
    } else await waitOrThrow(run, failures, answer, address)
  }
}

async function tryPut(run: SendingRun, number: number, address: SignedUrl, bytes: Blob): Promise<PutResult> {
  const answer = await slots.run(run.signal, () =>
    putPart(address, bytes, run.signal, (sent) => run.updatePart(number, sent)),
  )
  if (!answer.isStored) run.finishPart(number, 0)
  else if (run.item.note) run.setNote('')
  return answer
}

/** Wait after a transient failure, otherwise throw. 409: an earlier attempt still holds the part. */
async function waitOrThrow(
  run: SendingRun,
  failures: number,
  { status, problem }: PutResult,
  { url }: SignedUrl,
): Promise<void> {
  if (problem && status !== 409 && !isTransient(status)) throw problem
  await run.checkFile()
  const { host } = new URL(url, location.href)
  await backOff(failures, run, problem, host === location.host ? 'The registry' : `The store at ${host}`)
}

/** A cache of presigned URLs that prefetches URLs of parts that have not started. */
class UrlCache {
  private held = new Map<number, SignedUrl>()
  private asking: Promise<void> | undefined

  constructor(
    private readonly run: SendingRun,
    private readonly upload: Multipart,
    private readonly waiting: readonly number[],
  ) {}

  async get(number: number): Promise<SignedUrl> {
    for (;;) {
      const address = this.held.get(number)
      if (address) return address
      this.asking ??= this.ask(number).finally(() => {
        this.asking = undefined
      })
      await this.asking
    }
  }

  /** Drop all URLs: they were presigned together and expire together. */
  expire(): void {
    this.held.clear()
  }

  private async ask(number: number): Promise<void> {
    const ahead = this.waiting.filter((one) => !this.held.has(one)).slice(0, URLS_PER_REQUEST - 1)
    const fresh = await withRetry(this.run, () => presignParts(this.upload, [number, ...ahead]))
    if (!fresh.has(number)) throw unreachable()
    for (const [one, address] of fresh) this.held.set(one, address)
  }
}

function getMultipartIds({ storageKey, uploadId }: StartedUpload): Multipart {
  return { storage_key: storageKey, upload_id: uploadId }
}

function getPartSize(run: SendingRun, { partSize }: StartedUpload, number: number): number {
  return Math.min(partSize, run.item.file.size - (number - 1) * partSize)
}

function missingEtag(): Problem {
  return new Problem({
    ...(unreachable().facts as ConstructorParameters<typeof Problem>[0]),
    status: 502,
    title: 'The store hides the ETag header',
    detail:
      'The bucket does not expose the ETag header to browsers. The operator of the registry must run modelyard storage setup once.',
    error_code: 'etag_hidden',
  })
}
