// Creates a team; the user becomes its owner.

import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import type { FormEvent } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { enterTeam } from '@/api/session'
import { notify, notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

export function NewTeam() {
  const [isOpen, { open, close }] = useDisclosure(false)
  return (
    <Panel title="New team">
      <Text>
        A team has its own models, machines, members and keys. You become the owner of a team that you create.
      </Text>
      <Group>
        <Button variant="default" onClick={open}>
          Create team
        </Button>
      </Group>
      <Modal opened={isOpen} onClose={close} title="Create a team" closeButtonProps={{ 'aria-label': 'Close' }}>
        <Form />
      </Modal>
    </Panel>
  )
}

function Form() {
  const navigate = useNavigate()
  const make = useMutation({
    mutationFn: (display_name: string) => unwrap(api.POST('/api/v1/teams', { body: { display_name } })),
    onSuccess: async ({ id }, name) => {
      await enterTeam(id)
      await navigate({ to: '/models' })
      notify(`You are now in “${name}”.`)
    },
    onError: (error) => asProblem(error).fields.display_name || notifyError(error),
  })
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    make.mutate(String(new FormData(event.currentTarget).get('name')).trim())
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <TextInput
          name="name"
          label="Name"
          required
          maxLength={MAX_NAME_LENGTH}
          error={make.error ? asProblem(make.error).fields.display_name : undefined}
          data-autofocus
        />
        <Group justify="flex-end">
          <Button type="submit" loading={make.isPending}>
            Create
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
