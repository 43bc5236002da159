// Another team, whose owner one is.

import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import type { FormEvent } from 'react'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import { enterTeam } from '@/api/session'
import { failed, said } from '@/parts/notify'
import { Panel } from '@/parts/Panel'

export function NewTeam() {
  const [isOpen, { open, close }] = useDisclosure(false)
  return (
    <Panel title="Another team">
      <Text>A team has models, machines, people and keys of its own. You own a team that you make.</Text>
      <Group>
        <Button variant="default" onClick={open}>
          Make a team
        </Button>
      </Group>
      <Modal opened={isOpen} onClose={close} title="Make a team" closeButtonProps={{ 'aria-label': 'Close' }}>
        <Form />
      </Modal>
    </Panel>
  )
}

function Form() {
  const navigate = useNavigate()
  const make = useMutation({
    mutationFn: (display_name: string) => answered(api.POST('/api/v1/teams', { body: { display_name } })),
    onSuccess: async ({ id }, name) => {
      await enterTeam(id)
      await navigate({ to: '/models' })
      said(`You are in “${name}” now.`)
    },
    onError: (error) => asProblem(error).fields.display_name || failed(error),
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
          maxLength={100}
          error={make.error ? asProblem(make.error).fields.display_name : undefined}
          data-autofocus
        />
        <Group justify="flex-end">
          <Button type="submit" loading={make.isPending}>
            Make it
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
