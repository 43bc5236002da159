// Another password. The registry ends every other session with it.

import { Button, Group, PasswordInput, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import { useNewPassword } from '@/parts/newPassword'
import { failed, said } from '@/parts/notify'
import { Panel } from '@/parts/Panel'

export function PasswordForm({ email }: { email: string }) {
  const [round, setRound] = useState(0)
  return (
    <Panel title="Password">
      <Text size="sm" c="dimmed">
        When you change it, you stay signed in here; all your other sessions end. Keys of devices go on.
      </Text>
      <Form key={round} email={email} onChanged={() => setRound(round + 1)} />
    </Panel>
  )
}

function Form({ email, onChanged }: { email: string; onChanged: () => void }) {
  const change = useMutation({
    mutationFn: (body: { current_password: string; new_password: string }) =>
      answered(api.PUT('/api/v1/users/me/password', { body })),
    onSuccess: () => {
      said('Your password is changed; your other sessions have ended.')
      onChanged()
    },
    onError: (error) => isAboutAField(error) || failed(error),
  })
  const refusal = change.error ? asProblem(change.error) : undefined
  const password = useNewPassword(refusal?.fields.new_password)
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const current_password = String(new FormData(event.currentTarget).get('current'))
    if (password.checked()) change.mutate({ current_password, new_password: password.value })
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        {/* Lets a password manager know whose password this is. */}
        <input type="text" autoComplete="username" value={email} readOnly hidden />
        <PasswordInput
          name="current"
          label="Current password"
          autoComplete="current-password"
          required
          error={refusal?.code === 'password_refused' && refusal.message}
        />
        {password.fields}
        <Group>
          <Button type="submit" loading={change.isPending}>
            Change the password
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

function isAboutAField(error: unknown): boolean {
  const problem = asProblem(error)
  return problem.code === 'password_refused' || 'new_password' in problem.fields
}
