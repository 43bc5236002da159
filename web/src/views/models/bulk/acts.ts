// The acts on many models: each with its words, and one way back for all that was done.

import type { Model } from '@/api/types'
import { done, told } from '@/parts/notify'
import { byReason, type Outcome, several, type Undo } from '@/parts/several'
import { count } from '@/parts/words'
import { renewLists, takeOut } from '@/views/models/asking'
import { remove, restore, setStatus } from '@/views/models/changing'

export interface Act {
  doing: string
  /** "deleted", as in "12 models deleted". */
  did: string
  /** Whether the models leave the list that they are in. */
  leaves: boolean
  deed: (model: Model) => Promise<Undo>
}

/** An act that was refused for some models. */
export interface Refused extends Outcome<Model> {
  act: Act
}

export const ACTS = {
  enable: { doing: 'Enabling', did: 'enabled', leaves: false, deed: (model) => setStatus(model, 'active') },
  disable: { doing: 'Disabling', did: 'disabled', leaves: false, deed: (model) => setStatus(model, 'disabled') },
  remove: { doing: 'Deleting', did: 'deleted', leaves: true, deed: remove },
  restore: { doing: 'Restoring', did: 'restored', leaves: true, deed: restore },
  words: { doing: 'Changing', did: 'changed', leaves: false, deed: async () => async () => undefined },
} satisfies Record<string, Act>

/** Do it to all of them; what was done is said with one undo, what was refused is the caller's to show. */
export async function perform(
  act: Act,
  models: Model[],
  onProgress: (finished: number) => void,
): Promise<Outcome<Model>> {
  const outcome = await several(models, act.deed, onProgress)
  if (act.leaves) takeOut(new Set(outcome.done.map(({ item }) => item.id)))
  await renewLists()
  if (outcome.done.length) {
    done(`${count(outcome.done.length, 'model')} ${act.did}.`, () => takeBack(outcome.done))
  }
  return outcome
}

async function takeBack(deeds: Outcome<Model>['done']): Promise<void> {
  const outcome = await several(deeds, async ({ undo }) => {
    await undo()
    return async () => undefined
  })
  await renewLists()
  if (outcome.refused.length) tellInPassing('changed back', outcome.refused)
}

/** Say in the corner what was refused, where there is no list to say it over. */
export function tellInPassing(did: string, refused: Outcome<unknown>['refused']): void {
  told(`${count(refused.length, 'model')} could not be ${did}. ${[...byReason(refused).keys()].join(' ')}`)
}
