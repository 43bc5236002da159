// The actions on this model that the user is allowed to do.

import { Button, Group } from '@mantine/core'
import { IconDownload, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { download, setStatus } from '@/features/models/mutations'
import { refreshShown } from '@/features/models/queries'
import { deleteWithUndo } from '@/features/models/trash'

interface ActionsProps {
  model: Model
  isFresh: boolean
  onEdit: () => void
  onClose: () => void
}

export function Actions({ model, isFresh, onEdit, onClose }: ActionsProps) {
  const { mayChange } = usePermissions()
  const [isBusy, setBusy] = useState(false)
  const attempt = async (act: () => Promise<void>) => {
    setBusy(true)
    try {
      await act()
    } catch (error) {
      notifyError(error)
    } finally {
      setBusy(false)
    }
  }
  const onDelete = async () => {
    await deleteWithUndo(model)
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
            onClick={() => void attempt(() => switchStatus(model, isActive ? 'disabled' : 'active'))}
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

async function switchStatus(model: Model, status: Model['model_status']): Promise<void> {
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
