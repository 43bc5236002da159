// Deletes the team (owner). The name must be typed, to prevent accidents.

import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import { loadUser } from '@/api/session'
import type { Team } from '@/api/types'
import { formatCount } from '@/components/format'
import { notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { DEFAULT_TRASH_DAYS } from '@/generated/durations'

export function DeleteTeam({ team }: { team: Team }) {
  const [isOpen, { open, close }] = useDisclosure(false)
  return (
    <Panel title="Delete">
      <Text>
        The team's models can no longer be accessed, and all its keys stop working. For{' '}
        {formatCount(DEFAULT_TRASH_DAYS, 'day')}, unless the operator of this registry has set another time, they can
        undo this with <bdi>modelyard restore-team {team.id}</bdi>; after that, everything is deleted.
      </Text>
      <Group>
        <Button color="red" variant="outline" onClick={open}>
          Delete team
        </Button>
      </Group>
      <Modal opened={isOpen} onClose={close} title="Delete the team?" closeButtonProps={{ 'aria-label': 'Close' }}>
        <Question team={team} onClose={close} />
      </Modal>
    </Panel>
  )
}

function Question({ team, onClose }: { team: Team; onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const end = useMutation({
    mutationFn: () => unwrap(api.DELETE('/api/v1/teams/current')),
    onSuccess: () => loadUser(),
    onError: notifyError,
    onSettled: onClose,
  })
  return (
    <Stack>
      <Text>
        To delete “<bdi>{team.display_name}</bdi>” with everything in it, type its name.
      </Text>
      <TextInput
        label="Team name"
        autoComplete="off"
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
        data-autofocus
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button
          color="red"
          disabled={typed.trim() !== team.display_name.trim()}
          loading={end.isPending}
          onClick={() => end.mutate()}
        >
          Delete
        </Button>
      </Group>
    </Stack>
  )
}
