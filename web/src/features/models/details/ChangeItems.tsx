// Menu items that change a model: edit, disable or enable, delete.

import { Menu } from '@mantine/core'
import { IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import type { Model } from '@/api/types'
import { notifyError } from '@/components/notify'
import { switchStatus } from '@/features/models/switchStatus'

interface ChangeItemsProps {
  model: Model
  /** Edits the record; without it there is no such item. */
  onEdit?: () => void
  /** Deletes the model, see `useDeleteModel`. */
  onDelete: () => void
}

export function ChangeItems({ model, onEdit, onDelete }: ChangeItemsProps) {
  const isActive = model.model_status === 'active'
  const StatusIcon = isActive ? IconPlayerPause : IconPlayerPlay
  return (
    <>
      {onEdit && (
        <Menu.Item leftSection={<IconPencil size={16} aria-hidden />} onClick={onEdit}>
          Edit
        </Menu.Item>
      )}
      <Menu.Item
        leftSection={<StatusIcon size={16} aria-hidden />}
        onClick={() => void switchStatus(model).catch(notifyError)}
      >
        {isActive ? 'Disable' : 'Enable'}
      </Menu.Item>
      <Menu.Item c="red" leftSection={<IconTrash size={16} aria-hidden />} onClick={onDelete}>
        Delete
      </Menu.Item>
    </>
  )
}
