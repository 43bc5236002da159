// The menu of a card.

import { Menu } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import type { RefObject } from 'react'
import type { Model } from '@/api/types'
import { ButtonMenu } from '@/components/ButtonMenu'
import { copyAndNotify } from '@/components/copyAndNotify'
import { ChangeItems } from '@/features/models/details/ChangeItems'
import { useDeleteModel } from '@/features/models/details/useDeleteModel'
import { useModelSearch } from '@/features/models/useModelSearch'

interface MoreMenuProps {
  model: Model
  mayChange: boolean
  button: RefObject<HTMLElement | null>
  isOpened: boolean
  onClose: () => void
}

export function MoreMenu({ model, mayChange, ...shown }: MoreMenuProps) {
  const navigate = useNavigate()
  const search = useModelSearch()
  const { remove, dialog } = useDeleteModel(model)
  const words = model.trigger_words.map(({ text }) => text).join(', ')
  return (
    <>
      <ButtonMenu {...shown}>
        <Menu.Dropdown>
          <Menu.Item onClick={() => void navigate({ to: '/models/$id', params: { id: model.id }, search })}>
            Open page
          </Menu.Item>
          {words && <Menu.Item onClick={() => void copyAndNotify(words)}>Copy all trigger words</Menu.Item>}
          <Menu.Item onClick={() => void copyAndNotify(`${window.location.origin}/models/${model.id}`)}>
            Copy link
          </Menu.Item>
          {mayChange && (
            <>
              <Menu.Divider />
              <ChangeItems model={model} onDelete={remove} />
            </>
          )}
        </Menu.Dropdown>
      </ButtonMenu>
      {dialog}
    </>
  )
}
