// What this person may do with this model: nothing else is shown.

import { Button, Group } from '@mantine/core'
import { IconDownload, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { done, failed } from '@/parts/notify'
import { renew, renewLists } from '@/views/models/asking'
import { download, setStatus } from '@/views/models/changing'
import { deleteOne } from '@/views/models/trash'

interface Acts {
  model: Model
  isFresh: boolean
  onEdit: () => void
  onClose: () => void
}

export function Actions({ model, isFresh, onEdit, onClose }: Acts) {
  const { mayChange } = usePermissions()
  const [isBusy, setBusy] = useState(false)
  const attempt = async (act: () => Promise<void>) => {
    setBusy(true)
    try {
      await act()
    } catch (error) {
      failed(error)
    } finally {
      setBusy(false)
    }
  }
  const onDelete = async () => {
    await deleteOne(model)
    onClose()
  }
  const isActive = model.model_status === 'active'
  return (
    <Group gap="xs">
      {model.verification === 'verified' && (
        <Button
          leftSection={<IconDownload size={16} aria-hidden />}
          onClick={() => void attempt(() => download(model))}
        >
          Download
        </Button>
      )}
      {mayChange(model) && (
        <>
          <Button
            variant="default"
            disabled={!isFresh}
            leftSection={<IconPencil size={16} aria-hidden />}
            onClick={onEdit}
          >
            Edit
          </Button>
          <Button
            variant="default"
            disabled={isBusy}
            leftSection={
              isActive ? <IconPlayerPause size={16} aria-hidden /> : <IconPlayerPlay size={16} aria-hidden />
            }
            onClick={() => void attempt(() => switchTo(model, isActive ? 'disabled' : 'active'))}
          >
            {isActive ? 'Disable' : 'Enable'}
          </Button>
          <Button
            variant="light"
            color="red"
            disabled={isBusy}
            leftSection={<IconTrash size={16} aria-hidden />}
            onClick={() => void attempt(onDelete)}
          >
            Delete
          </Button>
        </>
      )}
    </Group>
  )
}

async function switchTo(model: Model, status: Model['model_status']): Promise<void> {
  const undo = await setStatus(model, status)
  await shown(model.id)
  done(
    status === 'active'
      ? `“${model.display_name}” is enabled: its machines fetch it.`
      : `“${model.display_name}” is disabled: it leaves every machine.`,
    async () => {
      await undo()
      await shown(model.id)
    },
  )
}

async function shown(id: string): Promise<void> {
  await renew(id)
  void renewLists()
}
