import { Menu, Text } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { RefObject } from 'react'
import { signOut } from '@/api/session'
import type { Me } from '@/api/types'
import { ButtonMenu } from '@/components/ButtonMenu'
import { notifyError } from '@/components/notify'

interface AccountItemsProps {
  me: Me
  button: RefObject<HTMLElement | null>
  isOpened: boolean
  onClose: () => void
}

export function AccountItems({ me, ...shown }: AccountItemsProps) {
  return (
    <ButtonMenu {...shown}>
      <Menu.Dropdown maw={320}>
        <Menu.Label>
          <Text truncate>{me.display_name}</Text>
          <Text size="sm" truncate>
            {me.email_address}
          </Text>
        </Menu.Label>
        <Menu.Item component={Link} to="/account">
          Account
        </Menu.Item>
        <Menu.Item component="a" href="/docs" target="_blank" rel="noreferrer">
          API
        </Menu.Item>
        <Menu.Item onClick={leave}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </ButtonMenu>
  )
}

async function leave(): Promise<void> {
  try {
    await signOut()
  } catch (error) {
    notifyError(error)
  }
}
