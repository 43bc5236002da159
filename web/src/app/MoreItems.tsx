import { Menu } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { RefObject } from 'react'
import type { MainView } from '@/app/views'
import { ButtonMenu } from '@/components/ButtonMenu'

export interface MoreItemsProps {
  /** The views, and where each leads. */
  views: (MainView & { target: string })[]
  button: RefObject<HTMLElement | null>
  isOpened: boolean
  onClose: () => void
}

export function MoreItems({ views, ...shown }: MoreItemsProps) {
  return (
    <ButtonMenu {...shown}>
      <Menu.Dropdown>
        {views.map(({ target, label, icon: Icon }) => (
          <Menu.Item key={target} component={Link} to={target} leftSection={<Icon size={16} aria-hidden />}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </ButtonMenu>
  )
}
