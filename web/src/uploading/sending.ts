// Getting a file's bytes under a storage key: whole, or in parts that travel in parallel and outlive a reload.

import { Problem, unreachable } from '@/api/problem'
import {
  complete,
  heldParts,
  type Multipart,
  type Part,
  type Signed,
  signedParts,
  type Ticket,
} from '@/uploading/asking'
import type { Unfinished } from '@/uploading/memory'
import { type Put, put } from '@/uploading/putting'
import { backOff, passes, persistently } from '@/uploading/retrying'
import type { Run } from '@/uploading/run'
import { Slots } from '@/uploading/slots'

const MOST_PUTS = 4
// Addresses are asked for some at a time, so that the last one is used long before it expires.
const URLS_AT_ONCE = 16
const FRESH_URLS_IN_A_ROW = 2
const slots = new Slots(MOST_PUTS)

/**
 * PUT the whole file.
 *
 * A try whose answer was lost may have arrived: then the next one finds the key taken, which is success.
 *
 * @throws Problem also with 401 or 403 if the address has expired.
 */
export async function sendWhole(run: Run, ticket: Ticket): Promise<void> {
  for (let failures = 1; ; failures += 1) {
    const answer = await tried(run, 1, ticket, run.item.file)
    if (answer.isStored || (answer.status === 412 && failures > 1)) return run.landed(1, run.item.file.size)
    await recover(run, failures, answer)
  }
}

/** The parts of an unfinished upload that the store has; undefined if the registry has given it up. */
export async function storedParts(run: Run, unfinished: Unfinished): Promise<Part[] | undefined> {
  try {
    const found = await persistently(run, () => heldParts(namesOf(unfinished)))
    return found.filter((part) => part.size === sizeOf(run, unfinished, part.part_number))
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return undefined
    throw error
  }
}

/** PUT the parts that the store has not, and make them one file. */
export async function sendParts(run: Run, unfinished: Unfinished, held: readonly Part[]): Promise<void> {
  const parts = new Map(held.map((part) => [part.part_number, part.etag]))
  run.startsFrom(held.reduce((sum, part) => sum + sizeOf(run, unfinished, part.part_number), 0))
  const count = Math.ceil(run.item.file.size / unfinished.partSize)
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !parts.has(number))
  const addresses = new Addresses(run, namesOf(unfinished), missing)
  const work = async () => {
    for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
      parts.set(number, await partSent(run, unfinished, number, addresses))
    }
  }
  await Promise.all(Array.from({ length: MOST_PUTS }, work))
  const all = [...parts].sort(([a], [b]) => a - b).map(([part_number, etag]) => ({ part_number, etag }))
  await completed(run, unfinished, all)
}

/** Completing may be repeated: what is remembered here, a reload does again. */
export async function completed(run: Run, unfinished: Unfinished, sent: Part[]): Promise<void> {
  run.remember({ ...(run.unfinished ?? unfinished), sent })
  await persistently(run, () => complete(namesOf(unfinished), sent))
}

async function partSent(run: Run, unfinished: Unfinished, number: number, addresses: Addresses): Promise<string> {
  const start = (number - 1) * unfinished.partSize
  const bytes = run.item.file.slice(start, start + unfinished.partSize)
  let expired = 0
  for (let failures = 1; ; failures += 1) {
    const answer = await tried(run, number, await addresses.of(number), bytes)
    if (answer.isStored) {
      run.landed(number, bytes.size)
      if (answer.etag) return answer.etag
      throw withoutEtag()
    }
    if ([401, 403].includes(answer.status) && expired < FRESH_URLS_IN_A_ROW) {
      expired += 1
      addresses.expire()
    } else await recover(run, failures, answer)
  }
}

async function tried(run: Run, number: number, address: Signed, bytes: Blob): Promise<Put> {
  const answer = await slots.within(run.signal, () =>
    put(address, bytes, run.signal, (sent) => run.flies(number, sent)),
  )
  if (!answer.isStored) run.landed(number, 0)
  else if (run.item.note) run.tell('')
  return answer
}

/** Wait, if what happened passes. 409: another try of ours still holds the part. */
async function recover(run: Run, failures: number, { status, problem }: Put): Promise<void> {
  if (problem && status !== 409 && !passes(status)) throw problem
  await run.checkFile()
  await backOff(failures, run, problem)
}

/** The signed addresses at hand; those of parts that nobody has begun are asked for in advance. */
class Addresses {
  private held = new Map<number, Signed>()
  private asking: Promise<void> | undefined

  constructor(
    private readonly run: Run,
    private readonly upload: Multipart,
    private readonly waiting: readonly number[],
  ) {}

  async of(number: number): Promise<Signed> {
    for (;;) {
      const address = this.held.get(number)
      if (address) return address
      this.asking ??= this.ask(number).finally(() => {
        this.asking = undefined
      })
      await this.asking
    }
  }

  /** They were made together, so one that has expired says it of all. */
  expire(): void {
    this.held.clear()
  }

  private async ask(number: number): Promise<void> {
    const ahead = this.waiting.filter((one) => !this.held.has(one)).slice(0, URLS_AT_ONCE - 1)
    const fresh = await persistently(this.run, () => signedParts(this.upload, [number, ...ahead]))
    if (!fresh.has(number)) throw unreachable()
    for (const [one, address] of fresh) this.held.set(one, address)
  }
}

function namesOf({ storageKey, uploadId }: Unfinished): Multipart {
  return { storage_key: storageKey, upload_id: uploadId }
}

function sizeOf(run: Run, { partSize }: Unfinished, number: number): number {
  return Math.min(partSize, run.item.file.size - (number - 1) * partSize)
}

function withoutEtag(): Problem {
  return new Problem({
    ...(unreachable().facts as ConstructorParameters<typeof Problem>[0]),
    status: 502,
    title: 'The store does not say what it holds',
    detail: 'The bucket hides ETag from pages. Whoever runs the registry runs modelyard storage setup once.',
    error_code: 'etag_hidden',
  })
}
