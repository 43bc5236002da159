// Enables and disables a model, with undo.

import type { Model } from '@/api/types'
import { notifyWithUndo } from '@/components/notify'
import { setStatus } from '@/features/models/mutations'
import { refreshShown } from '@/features/models/queries'

export async function switchStatus(model: Model): Promise<void> {
  const status = model.model_status === 'active' ? 'disabled' : 'active'
  const undo = await setStatus(model, status)
  await refreshShown(model.id)
  notifyWithUndo(
    status === 'active'
      ? `“${model.display_name}” is enabled. Machines download it.`
      : `“${model.display_name}” is disabled. Machines remove it.`,
    async () => {
      await undo()
      await refreshShown(model.id)
    },
  )
}
