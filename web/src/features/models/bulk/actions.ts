// Bulk actions on models, with their texts and one undo for all changes.

import { type BatchResult, runBatch, type Undo, undoAll } from '@/api/runBatch'
import type { Model } from '@/api/types'
import { formatCount } from '@/components/format'
import { notifyFailures, notifyWithUndo } from '@/components/notify'
import { deleteModel, restoreModel, setStatus } from '@/features/models/mutations'
import { refreshLists, removeFromLists } from '@/features/models/queries'

export interface BulkAction {
  progressLabel: string
  /** "deleted", as in "12 models deleted". */
  pastTense: string
  /** Whether the models disappear from the current list. */
  leavesList: boolean
  run: (model: Model) => Promise<Undo>
}

/** A bulk action that failed for some models. */
export interface BulkFailure extends BatchResult<Model> {
  act: BulkAction
}

export const BULK_ACTIONS = {
  enable: {
    progressLabel: 'Enabling',
    pastTense: 'enabled',
    leavesList: false,
    run: (model) => setStatus(model, 'active'),
  },
  disable: {
    progressLabel: 'Disabling',
    pastTense: 'disabled',
    leavesList: false,
    run: (model) => setStatus(model, 'disabled'),
  },
  remove: { progressLabel: 'Deleting', pastTense: 'deleted', leavesList: true, run: (model) => deleteModel(model) },
  restore: { progressLabel: 'Restoring', pastTense: 'restored', leavesList: true, run: restoreModel },
  words: { progressLabel: 'Changing', pastTense: 'changed', leavesList: false, run: async () => async () => undefined },
} satisfies Record<string, BulkAction>

/** Run the action on all models and show a notice with one undo; the caller shows failures. */
export async function runBulkAction(
  act: BulkAction,
  models: Model[],
  onProgress: (finished: number) => void,
): Promise<BatchResult<Model>> {
  const outcome = await runBatch(models, act.run, onProgress)
  if (act.leavesList) removeFromLists(new Set(outcome.done.map(({ item }) => item.id)))
  await refreshLists()
  if (outcome.done.length) {
    notifyWithUndo(`${formatCount(outcome.done.length, 'model')} ${act.pastTense}.`, async () => {
      const failed = await undoAll(outcome.done)
      await refreshLists()
      notifyFailures('model', 'changed back', failed)
    })
  }
  return outcome
}
