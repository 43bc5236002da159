// What a person says about a model instead of its file: it covers all versions, and null returns to the file's.

import type { Model, ModelUpdate } from '@/api/types'
import { notifyWithUndo } from '@/components/notify'
import { updateModel } from '@/features/models/mutations'
import { refreshShown } from '@/features/models/queries'

type Override = Pick<ModelUpdate, 'base_model' | 'trigger_words'>

/** Save a value, or return to the file's with null; undo restores what was shown before. */
export async function saveOverride(model: Model, change: Override, done: string): Promise<void> {
  await updateModel(model.id, change)
  await refreshShown(model.id)
  notifyWithUndo(done, async () => {
    await updateModel(model.id, getUndo(model, change))
    await refreshShown(model.id)
  })
}

function getUndo(model: Model, change: Override): Override {
  return {
    ...('base_model' in change && { base_model: hasOwnBase(model) ? model.base_model : null }),
    ...('trigger_words' in change && {
      trigger_words: model.has_own_trigger_words ? model.trigger_words.map(({ text }) => text) : null,
    }),
  }
}

export function hasOwnBase(model: Model): boolean {
  return model.base_source === 'person'
}
