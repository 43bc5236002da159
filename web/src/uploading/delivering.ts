// A file becomes a model: its bytes get there, unless they are there already, its hash is made beside, and it is named.

import { Problem } from '@/api/problem'
import { begin, presign, register, type Ticket } from '@/uploading/asking'
import { lookUp } from '@/uploading/looking'
import {
  BEAT_MILLISECONDS,
  forget,
  forgetHash,
  isElsewhere,
  TAB,
  type Unfinished,
  unfinishedOf,
} from '@/uploading/memory'
import { passed, persistently } from '@/uploading/retrying'
import type { Run } from '@/uploading/run'
import { completed, sendParts, sendWhole, storedParts } from '@/uploading/sending'
import { change, type Item } from '@/uploading/state'

// One PUT cannot go on where it stopped. Up to here, sending again costs less than the calls for parts.
const SINGLE_PUT_UP_TO = 64 * 1024 * 1024
// An address that ends sooner than this may end before the last byte.
const LEAST_LIFE_MILLISECONDS = 20 * 60_000
// After these, what was sent is of no use: the next try begins anew.
const SPOILT = ['upload_not_found', 'upload_used', 'upload_incomplete', 'hash_mismatch', 'not_a_model_file']

/** Other bytes hold the path: whoever uploads decides. */
export class PathHeld extends Error {}

/** What became of it: nothing had to be registered, or the id of the model. */
type Delivered = { modelId: string; outcome: 'registered' | 'replaced' | 'here already' }

/**
 * Make the file a model, sending only what the registry does not have.
 *
 * @throws PathHeld
 * @throws Problem the registry refused; what passes is waited for.
 * @throws FileUnreadable
 */
export async function deliver(run: Run, vetted: Ticket | undefined): Promise<Delivered> {
  await onlyHere(run)
  const held = await heldAlready(run)
  if (held) return { modelId: held, outcome: 'here already' }
  try {
    const storageKey = run.item.landed ?? (await arrived(run, vetted))
    if (!run.item.hash) run.does('reading on')
    const hash = await run.hash()
    run.does('registering')
    const modelId = await persistently(run, () => register(run.item, storageKey, hash, run.notes))
    forget(run.item)
    run.unfinished = undefined
    return { modelId, outcome: run.item.replaces ? 'replaced' : 'registered' }
  } catch (error) {
    if (error instanceof Problem && SPOILT.includes(error.code)) beginAnew(run)
    throw error
  }
}

/** The model that has these very bytes at this path. */
async function heldAlready(run: Run): Promise<string | undefined> {
  const holder = run.item.holder === undefined ? await persistently(run, () => lookUp(run.item)) : run.item.holder
  run.change({ holder })
  if (!holder || holder.verification === 'failed') return undefined
  if (holder.file_size === run.item.file.size) {
    run.does('comparing')
    if (holder.file_hash === (await run.hash())) return holder.id
  }
  if (holder.id !== run.item.replaces) throw new PathHeld()
  return undefined
}

/** The key under which all bytes are, however they got there. */
async function arrived(run: Run, vetted: Ticket | undefined): Promise<string> {
  const unfinished = unfinishedOf(run.item)
  const storageKey = (unfinished && (await resumed(run, unfinished))) ?? (await sent(run, vetted))
  run.change({ landed: storageKey, sent: run.item.file.size })
  return storageKey
}

/** Go on with an upload that was begun before; undefined if the registry has given it up. */
async function resumed(run: Run, unfinished: Unfinished): Promise<string | undefined> {
  run.remember({ ...unfinished, tab: TAB, beat: Date.now() })
  try {
    if (unfinished.sent) {
      await completed(run, unfinished, unfinished.sent)
      return unfinished.storageKey
    }
    const parts = await storedParts(run, unfinished)
    if (!parts) return undefined
    run.does('sending')
    await beside(run, sendParts(run, unfinished, parts))
    return unfinished.storageKey
  } catch (error) {
    if (error instanceof Problem && ['upload_not_found', 'parts_wrong'].includes(error.code)) return undefined
    throw error
  }
}

async function sent(run: Run, vetted: Ticket | undefined): Promise<string> {
  const isUsable = vetted && vetted.expiresAt - Date.now() > LEAST_LIFE_MILLISECONDS && !run.item.hash
  let ticket = isUsable ? vetted : await persistently(run, () => presign(run.item))
  if (ticket.hashFirst) {
    run.does('comparing')
    await run.hash()
    ticket = await persistently(run, () => presign(run.item))
  }
  if (ticket.isStored) return ticket.storageKey
  run.does('sending')
  run.startsFrom(0)
  const size = run.item.file.size
  if (ticket.inParts || size > SINGLE_PUT_UP_TO) await beside(run, inParts(run, ticket))
  else await beside(run, sendWhole(run, ticket))
  return ticket.storageKey
}

async function inParts(run: Run, ticket: Ticket): Promise<void> {
  const { file, fingerprint, teamId, path, replaces } = run.item
  const started = await persistently(run, () => begin(ticket.storageKey, file.size))
  const now = Date.now()
  run.remember({
    ...{ teamId, name: file.name, size: file.size, lastModified: file.lastModified, fingerprint, path, replaces },
    ...{ storageKey: ticket.storageKey, uploadId: started.upload_id, partSize: started.part_size },
    ...{ notes: run.notes, begun: now, tab: TAB, beat: now },
  })
  await sendParts(run, run.unfinished as Unfinished, [])
}

/** Hash beside sending. If the file cannot be read, neither has a point. */
async function beside(run: Run, sending: Promise<void>): Promise<void> {
  const hash = run.hash()
  await Promise.race([sending, hash.then(() => sending)])
}

/** Two tabs of a browser do not send the same file: the second one waits, and finds it there. */
async function onlyHere(run: Run): Promise<void> {
  for (let other = unfinishedOf(run.item); other && isElsewhere(other); other = unfinishedOf(run.item)) {
    run.change({ note: 'Another tab is sending this file.', holder: undefined })
    await passed(BEAT_MILLISECONDS, run.signal)
  }
  run.tell('')
}

function beginAnew(run: Run): void {
  run.unfinished = undefined
  forgetBytes(run.item)
}

/** What was sent and hashed of this file is of no use. */
export function forgetBytes(one: Item): void {
  forget(one)
  forgetHash(one.file)
  change(one.id, { landed: undefined, hash: undefined, sent: 0, hashed: 0 })
}
