// Signing out, here or on every machine.

import { Button, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { signOut } from '@/api/session'
import { Confirm } from '@/parts/Confirm'
import { failed } from '@/parts/notify'
import { Panel } from '@/parts/Panel'

export function Sessions() {
  const [isOpen, { open, close }] = useDisclosure(false)
  const leave = useMutation({
    mutationFn: signOut,
    onError: failed,
  })
  return (
    <Panel title="Sessions">
      <Text>A lost laptop, a borrowed machine: end every session of yours, in browsers and on command lines.</Text>
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
        All your sessions end, this one too. Paired devices have keys of their own: revoke them under Keys.
      </Confirm>
    </Panel>
  )
}
