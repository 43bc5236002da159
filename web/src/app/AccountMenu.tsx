import { ActionIcon, Menu, Text } from '@mantine/core'
import { IconUser } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { signOut, useSession } from '@/api/session'
import { notifyError } from '@/components/notify'

export function AccountMenu() {
  const session = useSession()
  if (session.state !== 'signed-in') return null
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label="Your account">
          <IconUser size={20} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown maw={320}>
        <Menu.Label>
          <Text truncate>{session.me.display_name}</Text>
          <Text size="sm" truncate>
            {session.me.email_address}
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
    </Menu>
  )
}

async function leave(): Promise<void> {
  try {
    await signOut()
  } catch (error) {
    notifyError(error)
  }
}
