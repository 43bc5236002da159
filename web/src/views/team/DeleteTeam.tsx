// The owner ends the team. The name is typed, so that nobody does it by a slip.

import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { answered, api } from '@/api/client'
import { learnWhoIAm } from '@/api/session'
import type { Team } from '@/api/types'
import { failed } from '@/parts/notify'
import { Panel } from '@/parts/Panel'

export function DeleteTeam({ team }: { team: Team }) {
  const [isOpen, { open, close }] = useDisclosure(false)
  return (
    <Panel title="Delete">
      <Text>
        Nobody reaches the team's models any more, and all its keys stop working. For 7 days whoever runs this registry
        can undo it with <bdi>modelyard restore-team {team.id}</bdi>; then everything is gone.
      </Text>
      <Group>
        <Button color="red" variant="outline" onClick={open}>
          Delete the team
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
    mutationFn: () => answered(api.DELETE('/api/v1/teams/current')),
    onSuccess: () => learnWhoIAm(),
    onError: failed,
    onSettled: onClose,
  })
  return (
    <Stack>
      <Text>
        To delete “<bdi>{team.display_name}</bdi>” with everything in it, type its name.
      </Text>
      <TextInput
        label="Name of the team"
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
