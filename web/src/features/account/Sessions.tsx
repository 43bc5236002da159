// The user's sessions, and signing out here or everywhere.

import { Button, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { signOut } from '@/api/session'
import { Confirm } from '@/components/Confirm'
import { notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { SessionList } from '@/features/account/SessionList'

export function Sessions() {
  const [isOpen, { open, close }] = useDisclosure(false)
  const leave = useMutation({
    mutationFn: signOut,
    onError: notifyError,
  })
  return (
    <Panel title="Sessions">
      <SessionList />
      <Text size="sm" c="dimmed">
        End all your sessions, in browsers and on command lines: for example, after you lost a laptop or used a borrowed
        machine.
      </Text>
      <Group>
        <Button variant="default" onClick={() => leave.mutate(false)}>
          Sign out here
        </Button>
        <Button variant="default" onClick={open}>
          Sign out everywhere
        </Button>
      </Group>
      <Confirm
        title="Sign out everywhere?"
        verb="Sign out everywhere"
        isOpen={isOpen}
        isBusy={leave.isPending}
        onConfirm={() => leave.mutate(true)}
        onClose={close}
      >
        All your sessions end, including this one. Paired devices have their own keys: revoke them under Keys.
      </Confirm>
    </Panel>
  )
}
