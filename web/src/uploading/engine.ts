// The queue of uploads: whose turn it is, what stops, goes on or is given up. It lives as long as the tab, whatever is shown.

import { asProblem } from '@/api/problem'
import { currentSession, onSession } from '@/api/session'
import { queries } from '@/app/queries'
import { abort, model, type Notes, presign, type Ticket } from '@/uploading/asking'
import { deliver, forgetBytes, PathHeld } from '@/uploading/delivering'
import { FileUnreadable } from '@/uploading/hashing'
import { compare, lookUp, stopLooking } from '@/uploading/looking'
import { BEAT_MILLISECONDS, forget, keep, unfinishedOf } from '@/uploading/memory'
import { isSameFile } from '@/uploading/resuming'
import { passed, persistently } from '@/uploading/retrying'
import { Run } from '@/uploading/run'
import { Slots } from '@/uploading/slots'
import { allItems, change, type Item, isGoing, item, remove, restore } from '@/uploading/state'

const MOST_FILES = 2
const TELL_MILLISECONDS = 500
// So many files in the queue are announced in advance: what the registry refuses of them is said at once.
const MOST_VETTED = 100
const GIVE_UP_MILLISECONDS = 10_000

const runs = new Map<number, Run>()
const notes = new Map<number, Notes>()
const tickets = new Map<number, Ticket>()
const vetting = new Slots(2)

/** Put files into the queue. */
export function start(ids: readonly number[], about: Notes): void {
  for (const id of ids) {
    stopLooking(id)
    notes.set(id, about)
    change(id, { stage: 'waiting', problem: undefined, note: '' })
    void vet(id)
  }
  next()
}

export function pause(ids: readonly number[]): void {
  for (const id of ids) {
    const one = item(id)
    if (!one || !isGoing(one)) continue
    end(id)
    change(id, { stage: 'paused', note: '', rate: 0 })
  }
  next()
}

/** Go on with what was paused, failed, or waited for an answer. */
export function goOn(ids: readonly number[]): void {
  for (const id of ids) change(id, { stage: 'waiting', problem: undefined, note: '', holder: undefined })
  next()
}

/** Go on under another path; bytes that have arrived are not sent again. */
export function goOnAt(id: number, path: string): void {
  change(id, { path, freePath: undefined, replaces: undefined })
  goOn([id])
}

export function goOnReplacing(id: number): void {
  change(id, { replaces: item(id)?.holder?.id })
  goOn([id])
}

/** Take it out of the list; after a while in which it can come back, what was sent is given up. */
export function cancel(id: number): { undo: () => void } | undefined {
  const one = item(id)
  if (!one) return undefined
  end(id)
  remove([id])
  next()
  const unfinished = unfinishedOf(one)
  const timer = setTimeout(() => {
    if (isBack(one)) return
    forget(one)
    if (unfinished) void abort({ storage_key: unfinished.storageKey, upload_id: unfinished.uploadId }).catch(() => {})
  }, GIVE_UP_MILLISECONDS)
  const undo = () => {
    clearTimeout(timer)
    restore({ ...one, stage: 'paused', note: '', rate: 0, activity: undefined })
    if (isGoing(one)) goOn([id])
  }
  return { undo }
}

/** Whether the same file was picked again meanwhile: its upload goes on with the parts that were sent. */
function isBack(one: Item): boolean {
  return allItems().some((other) => other.teamId === one.teamId && isSameFile(other.file, one.file))
}

/** Take finished files off the list. */
export function clearDone(): void {
  remove(allItems().flatMap((one) => (one.stage === 'done' ? [one.id] : [])))
}

function next(): void {
  for (const { id, stage } of allItems()) {
    if (runs.size >= MOST_FILES) return
    if (stage === 'waiting' && !runs.has(id)) void work(id)
  }
}

async function work(id: number): Promise<void> {
  const run = new Run(id, notes.get(id))
  runs.set(id, run)
  change(id, { stage: 'working' })
  try {
    const vetted = tickets.get(id)
    tickets.delete(id)
    const delivered = await deliver(run, vetted)
    change(id, { stage: 'verifying', ...delivered, note: '', rate: 0, activity: undefined })
    void verified(id)
  } catch (error) {
    if (!run.signal.aborted) settle(run, id, error)
  } finally {
    run.stop()
    if (runs.get(id) === run) runs.delete(id)
    next()
  }
}

function settle(run: Run, id: number, error: unknown): void {
  const idle = { note: '', rate: 0, activity: undefined }
  if (error instanceof PathHeld || asProblem(error).code === 'model_path_taken') {
    // The path is looked up again: whoever took it did so meanwhile.
    change(id, { stage: 'conflict', ...idle })
    void explain(id)
  } else if (error instanceof FileUnreadable) {
    const message = 'It was moved, deleted or changed since you picked it. Pick it again.'
    change(id, { stage: 'failed', ...idle, problem: { title: 'The file cannot be read any more', message } })
  } else {
    const { title, message } = asProblem(error)
    change(id, { stage: 'failed', ...idle, problem: { title, message } })
  }
  run.publish()
}

/** Which model is in the way, both hashes, and a path that is free. */
async function explain(id: number): Promise<void> {
  const run = new Run(id)
  try {
    const holder = await persistently(run, () => lookUp(run.item))
    run.change({ holder })
    if (holder) await compare(run, holder)
  } catch {
    // The question stands without the hashes as well.
  }
}

/** With S3 the registry reads the bytes later: until then nobody can download them. */
async function verified(id: number): Promise<void> {
  const run = new Run(id)
  try {
    for (let wait = 300; ; wait = Math.min(5_000, wait * 1.5)) {
      const { teamId, modelId = '', outcome } = run.item
      const found = await persistently(run, () => model(teamId, modelId))
      if (found.verification === 'verified') break
      if (found.verification === 'failed') {
        const message = found.verification_error ?? 'The registry read other bytes than were declared.'
        forgetBytes(run.item)
        return change(id, { stage: 'failed', problem: { title: 'The bytes are not what was sent', message } })
      }
      change(id, { outcome })
      await passed(wait, run.signal)
    }
    change(id, { stage: 'done', problem: undefined })
  } catch (error) {
    const { title, message } = asProblem(error)
    change(id, { stage: 'failed', problem: { title, message } })
  }
  await queries.invalidateQueries()
}

/** Announce a file that waits: quota, disk and path are then judged before its turn comes. */
async function vet(id: number): Promise<void> {
  await vetting.within(new AbortController().signal, async () => {
    const one = item(id)
    if (one?.stage !== 'waiting' || tickets.size >= MOST_VETTED || unfinishedOf(one) || one.landed) return
    try {
      tickets.set(id, await presign(one))
    } catch (error) {
      const problem = asProblem(error)
      const isFinal = [403, 422, 507].includes(problem.status) && item(id)?.stage === 'waiting'
      if (isFinal) change(id, { stage: 'failed', problem: { title: problem.title, message: problem.message } })
    }
  })
}

function end(id: number): void {
  stopLooking(id)
  tickets.delete(id)
  runs.get(id)?.stop()
  runs.delete(id)
}

/** What somebody began is not finished by whoever signs in after them. */
function onlyTheirs(): void {
  const session = currentSession()
  if (session.state !== 'signed-in') return
  const others = allItems().filter((one) => one.userId !== session.me.id)
  for (const one of others) end(one.id)
  if (others.length > 0) remove(others.map((one) => one.id))
}

function onLeaving(event: BeforeUnloadEvent): void {
  if (allItems().some(isGoing)) event.preventDefault()
}

/** Another page of this browser, or this one after a reload, may go on at once. */
function onGone(): void {
  for (const { id } of allItems()) {
    const unfinished = runs.get(id)?.unfinished
    const one: Item | undefined = item(id)
    if (unfinished && one) keep(one, { ...unfinished, beat: 0 })
  }
}

onSession(onlyTheirs)
addEventListener('beforeunload', onLeaving)
addEventListener('pagehide', onGone)
setInterval(() => {
  for (const run of runs.values()) run.publish()
}, TELL_MILLISECONDS)
setInterval(() => {
  for (const run of runs.values()) run.beat()
}, BEAT_MILLISECONDS)
