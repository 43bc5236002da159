// What is at a path already, found out before the first byte: the same bytes, other bytes, or nothing.

import { Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { modelAt, presign } from '@/uploading/asking'
import { unfitness } from '@/uploading/placing'
import { persistently } from '@/uploading/retrying'
import { Run } from '@/uploading/run'
import { Slots } from '@/uploading/slots'
import { type Item, item } from '@/uploading/state'

// A whole folder asks at once; and a disk reads one file faster than two.
const questions = new Slots(4)
const readings = new Slots(1)
const running = new Map<number, Run>()
const soon = new Map<number, ReturnType<typeof setTimeout>>()

// Typing a path asks the registry when it pauses.
const TYPING_MILLISECONDS = 400

/** The model at the item's path, or null. */
export async function lookUp({ teamId, path }: Item): Promise<Model | null> {
  return (await modelAt(teamId, path)) ?? null
}

/**
 * Find out what is at the item's path; where something is, whether it is the same, and which path is free.
 *
 * Begun anew for the same item, the earlier look ends.
 */
export async function look(id: number): Promise<void> {
  stopLooking(id)
  const one = item(id)
  if (!one?.path || one.refusal || unfitness(one.path)) return
  const run = new Run(id)
  running.set(id, run)
  try {
    const holder = await questions.within(run.signal, () => persistently(run, () => lookUp(one)))
    run.signal.throwIfAborted()
    run.change({ holder })
    if (holder) await readings.within(run.signal, () => compare(run, holder))
  } catch {
    // Stopped, unreadable or refused: the upload itself looks again, and says it.
  } finally {
    if (running.get(id) === run) running.delete(id)
  }
}

/** Look once its path stays as it is for a moment. */
export function lookSoon(id: number): void {
  stopLooking(id)
  soon.set(
    id,
    setTimeout(() => void look(id), TYPING_MILLISECONDS),
  )
}

/** End a look that goes on or was to come. */
export function stopLooking(id: number): void {
  clearTimeout(soon.get(id))
  soon.delete(id)
  running.get(id)?.stop()
  running.delete(id)
}

/** Both hashes, and then a free path. */
export async function compare(run: Run, holder: Model): Promise<void> {
  const ticking = setInterval(() => run.publish(), 250)
  const hash = await run.hash().finally(() => clearInterval(ticking))
  run.signal.throwIfAborted()
  if (hash !== holder.file_hash) run.change({ freePath: await freePath(run) })
  else if (run.item.stage === 'draft' && holder.verification !== 'failed') {
    run.change({ stage: 'done', outcome: 'here already', modelId: holder.id })
  }
}

/** The registry names one when it refuses the taken one, which it does as soon as it knows the hash. */
async function freePath(run: Run): Promise<string | undefined> {
  try {
    await persistently(run, () => presign({ ...run.item, replaces: undefined }))
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'model_path_taken')) throw error
    const free = error.facts.free_path
    return typeof free === 'string' ? `models/${free}` : undefined
  }
  return undefined
}
