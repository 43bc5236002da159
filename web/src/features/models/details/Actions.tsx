// What people do with a model: send it, download it, and a menu of what is rarer.

import { ActionIcon, Button, Menu } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { IconDots, IconDownload, IconLink, IconSend, IconTransform } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { copyAndNotify } from '@/components/copyAndNotify'
import { notifyError } from '@/components/notify'
import classes from '@/features/models/details/actions.module.css'
import { ChangeItems } from '@/features/models/details/ChangeItems'
import { useDrawerDialog } from '@/features/models/details/drawerDialogs'
import { useDeleteModel } from '@/features/models/details/useDeleteModel'
import { convert, download } from '@/features/models/mutations'
import { SendDialog } from '@/features/models/places/SendDialog'

export function Actions({ model }: { model: Model }) {
  // On a phone the main action comes first, also for the keyboard.
  const isNarrow = useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false })
  return (
    <div className={classes.actions}>
      {isNarrow && <SendButton model={model} />}
      {model.verification === 'verified' && !model.is_folder && <DownloadButton model={model} />}
      {!isNarrow && <SendButton model={model} />}
    </div>
  )
}

function DownloadButton({ model }: { model: Model }) {
  return (
    <Button
      className={classes.download ?? ''}
      variant="default"
      aria-label="Download"
      onClick={() => void download(model).catch(notifyError)}
    >
      <IconDownload size={16} aria-hidden />
      <span className={classes.word}>Download</span>
    </Button>
  )
}

function SendButton({ model }: { model: Model }) {
  const { may } = usePermissions()
  const [isSending, setSending] = useState(false)
  useDrawerDialog(isSending)
  if (!may('agents_assign') || model.deleted_at) return null
  return (
    <>
      <Button leftSection={<IconSend size={16} aria-hidden />} onClick={() => setSending(true)}>
        Send to…
      </Button>
      <SendDialog models={[model]} isOpen={isSending} onClose={() => setSending(false)} />
    </>
  )
}

interface MoreActionsProps {
  model: Model
  /** Whether this is the current record, which can be edited, and not a placeholder. */
  isFresh: boolean
  onEdit: () => void
  onDeleted: () => void
}

export function MoreActions({ model, isFresh, onEdit, onDeleted }: MoreActionsProps) {
  const { may, mayChange } = usePermissions()
  const { remove, dialog } = useDeleteModel(model, onDeleted)
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label="More actions" title="More actions">
            <IconDots size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<IconLink size={16} aria-hidden />}
            onClick={() => void copyAndNotify(`${window.location.origin}/models/${model.id}`)}
          >
            Copy link
          </Menu.Item>
          {may('imports_change') && model.metadata.format === 'pickle' && model.verification !== 'pending' && (
            <Menu.Item
              leftSection={<IconTransform size={16} aria-hidden />}
              onClick={() => void convert(model).catch(notifyError)}
            >
              Convert to .safetensors
            </Menu.Item>
          )}
          {mayChange(model) && isFresh && <ChangeItems model={model} onEdit={onEdit} onDelete={remove} />}
        </Menu.Dropdown>
      </Menu>
      {dialog}
    </>
  )
}
