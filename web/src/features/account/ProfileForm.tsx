// The user's names, which the team sees, and their e-mail address, which they sign in with.

import { Button, Group, Stack, Text, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { queryClient } from '@/api/queryClient'
import { loadUser } from '@/api/session'
import type { Me } from '@/api/types'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

type Names = Pick<Me, 'first_name' | 'last_name'>

async function saveNames({ first_name, last_name }: Names): Promise<void> {
  await unwrap(api.PUT('/api/v1/users/me', { body: { first_name, last_name } }))
  await loadUser()
  // Lists show who made what by name.
  void queryClient.invalidateQueries()
}

export function ProfileForm({ me }: { me: Me }) {
  const [names, setNames] = useState<Names>({ first_name: me.first_name, last_name: me.last_name })
  const save = useMutation({
    mutationFn: async (next: Names) => {
      // Saving loads the user anew, so these are taken before.
      const before = { first_name: me.first_name, last_name: me.last_name }
      await saveNames(next)
      return before
    },
    onSuccess: (before) =>
      notifyWithUndo('Your name is changed.', async () => {
        await saveNames(before)
        setNames(before)
      }),
    onError: (error) => Object.keys(asProblem(error).fields).length > 0 || notifyError(error),
  })
  const errors = save.error ? asProblem(save.error).fields : {}
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    save.mutate({ first_name: names.first_name.trim(), last_name: names.last_name.trim() })
  }
  const fieldOf = (name: keyof Names) => ({
    value: names[name],
    error: errors[name],
    required: true,
    maxLength: MAX_NAME_LENGTH,
    onChange: (event: { currentTarget: { value: string } }) =>
      setNames({ ...names, [name]: event.currentTarget.value }),
  })
  return (
    <Panel title="You">
      <form onSubmit={onSubmit}>
        <Stack gap="sm">
          <Group grow align="flex-start">
            <TextInput label="First name" autoComplete="given-name" {...fieldOf('first_name')} />
            <TextInput label="Last name" autoComplete="family-name" {...fieldOf('last_name')} />
          </Group>
          <Text size="sm" c="dimmed">
            You sign in as <bdi>{me.email_address}</bdi>.
          </Text>
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  )
}
