// Out of the trash again, and what stands in the way where something does.

import { Button, Stack, Text } from '@mantine/core'
import { Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { router } from '@/app/router'
import { done, failed, hide, show } from '@/parts/notify'
import { renewLists, takeOut } from '@/views/models/asking'
import { remove, restore } from '@/views/models/changing'

export async function restoreOne(model: Model): Promise<void> {
  try {
    await restore(model)
  } catch (error) {
    if (error instanceof Problem && error.code === 'model_path_taken') sayTaken(model, error)
    else failed(error)
    return
  }
  takeOut(new Set([model.id]))
  void renewLists()
  done(`“${model.display_name}” is back.`, async () => {
    await remove(model)
    await renewLists()
  })
}

export async function deleteOne(model: Model): Promise<void> {
  await remove(model)
  takeOut(new Set([model.id]))
  void renewLists()
  done(`“${model.display_name}” is in the trash.`, async () => {
    await restore(model)
    await renewLists()
  })
}

/** Two models cannot have one path: who has it now, and what can be done about it. */
function sayTaken(model: Model, problem: Problem): void {
  const holder = typeof problem.facts.model_id === 'string' ? problem.facts.model_id : undefined
  const id = show({
    color: 'red',
    title: 'Its path was taken meanwhile',
    autoClose: false,
    closeButtonProps: { 'aria-label': 'Close' },
    message: (
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          Another model is at <bdi>{model.model_path}</bdi> now. Give that one another path or delete it, then restore
          this one.
        </Text>
        {holder && (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => {
              hide(id)
              void router.navigate({ to: '/models', search: { model: holder } })
            }}
          >
            Open the other model
          </Button>
        )}
      </Stack>
    ),
  })
}
