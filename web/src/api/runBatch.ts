// Runs many requests as one action: a few at a time, with failures reported per item and one undo for all.

import { asProblem, type Problem } from '@/api/problem'

const MAX_CONCURRENT = 4

/** Reverts one action. */
export type Undo = () => Promise<unknown>

export interface BatchResult<Item> {
  done: { item: Item; undo: Undo }[]
  refused: { item: Item; problem: Problem }[]
}

/** Run the action on each item, `MAX_CONCURRENT` at a time; a failed item does not stop the others. */
export async function runBatch<Item>(
  items: readonly Item[],
  action: (item: Item) => Promise<Undo>,
  onProgress: (finished: number) => void = () => {},
): Promise<BatchResult<Item>> {
  const outcome: BatchResult<Item> = { done: [], refused: [] }
  let finished = 0
  await runConcurrently(items, async (item) => {
    try {
      outcome.done.push({ item, undo: await action(item) })
    } catch (error) {
      outcome.refused.push({ item, problem: asProblem(error) })
    }
    finished += 1
    onProgress(finished)
  })
  return outcome
}

/** Undo completed actions, `MAX_CONCURRENT` at a time; returns those that failed. */
export async function undoAll<Item>(done: BatchResult<Item>['done']): Promise<BatchResult<Item>['refused']> {
  const refused: BatchResult<Item>['refused'] = []
  await runConcurrently(done, async ({ item, undo }) => {
    try {
      await undo()
    } catch (error) {
      refused.push({ item, problem: asProblem(error) })
    }
  })
  return refused
}

/** Group failed items by their message. */
export function groupByReason<Item>(refused: BatchResult<Item>['refused']): Map<string, BatchResult<Item>['refused']> {
  const reasons = new Map<string, BatchResult<Item>['refused']>()
  for (const one of refused) reasons.set(one.problem.message, [...(reasons.get(one.problem.message) ?? []), one])
  return reasons
}

/** Run the work on all items, `MAX_CONCURRENT` at a time. */
async function runConcurrently<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const waiting = items[Symbol.iterator]()
  const worker = async () => {
    for (const item of waiting) await work(item)
  }
  await Promise.all(Array.from({ length: MAX_CONCURRENT }, worker))
}
