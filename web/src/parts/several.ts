// Many requests as one act: a few at a time, with what was refused told apart, and one way back for all that was done.

import { asProblem, type Problem } from '@/api/problem'

const AT_ONCE = 4

/** What takes one deed back. */
export type Undo = () => Promise<unknown>

export interface Outcome<Item> {
  done: { item: Item; undo: Undo }[]
  refused: { item: Item; problem: Problem }[]
}

/** Do the same to each item, `AT_ONCE` at a time; one that is refused keeps no other from being done. */
export async function several<Item>(
  items: readonly Item[],
  deed: (item: Item) => Promise<Undo>,
  onProgress: (finished: number) => void = () => {},
): Promise<Outcome<Item>> {
  const outcome: Outcome<Item> = { done: [], refused: [] }
  let finished = 0
  await inTurns(items, async (item) => {
    try {
      outcome.done.push({ item, undo: await deed(item) })
    } catch (error) {
      outcome.refused.push({ item, problem: asProblem(error) })
    }
    finished += 1
    onProgress(finished)
  })
  return outcome
}

/** What was refused, by its reason. */
export function byReason<Item>(refused: Outcome<Item>['refused']): Map<string, Outcome<Item>['refused']> {
  const reasons = new Map<string, Outcome<Item>['refused']>()
  for (const one of refused) reasons.set(one.problem.message, [...(reasons.get(one.problem.message) ?? []), one])
  return reasons
}

/** Run all of these, `AT_ONCE` at a time. */
async function inTurns<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const waiting = items[Symbol.iterator]()
  const worker = async () => {
    for (const item of waiting) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
