// Deletes and restores a model, with undo and with help if its path is taken.

import { Button, Stack, Text } from '@mantine/core'
import { Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { hideNotice, notifyError, notifyWithUndo, showNotice } from '@/components/notify'
import { deleteModel, restoreModel } from '@/features/models/mutations'
import { refreshLists, removeFromLists } from '@/features/models/queries'

/** Restore a deleted model; `openModel` shows the model that has its path now, if there is one. */
export async function restoreWithUndo(model: Model, openModel: (id: string) => void): Promise<void> {
  try {
    await restoreModel(model)
  } catch (error) {
    if (error instanceof Problem && error.is('model_path_taken')) notifyPathTaken(model, error, openModel)
    else notifyError(error)
    return
  }
  removeFromLists(new Set([model.id]))
  void refreshLists()
  notifyWithUndo(`“${model.display_name}” was restored.`, async () => {
    await deleteModel(model, true)
    await refreshLists()
  })
}

export async function deleteWithUndo(model: Model, force: boolean): Promise<void> {
  await deleteModel(model, force)
  removeFromLists(new Set([model.id]))
  void refreshLists()
  notifyWithUndo(`“${model.display_name}” was moved to the trash.`, async () => {
    await restoreModel(model)
    await refreshLists()
  })
}

/** Explain that another model has the path, and offer to open it. */
function notifyPathTaken(model: Model, problem: Problem, openModel: (id: string) => void): void {
  const holder = typeof problem.facts.model_id === 'string' ? problem.facts.model_id : undefined
  const id = showNotice({
    color: 'red',
    title: 'Another model uses this path',
    autoClose: false,
    closeButtonProps: { 'aria-label': 'Close' },
    message: (
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          Another model is at <bdi>{model.model_path}</bdi> now. Change the path of that model or delete it, then
          restore this one.
        </Text>
        {holder && (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => {
              hideNotice(id)
              openModel(holder)
            }}
          >
            Open the other model
          </Button>
        )}
      </Stack>
    ),
  })
}
