// Changes the password. The registry then ends all other sessions.

import { Button, Group, PasswordInput, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { notify, notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { useNewPassword } from '@/components/useNewPassword'

export function PasswordForm({ email }: { email: string }) {
  const [round, setRound] = useState(0)
  return (
    <Panel title="Password">
      <Text size="sm" c="dimmed">
        When you change it, you stay signed in here; all your other sessions end. Device keys keep working.
      </Text>
      <Form key={round} email={email} onChanged={() => setRound(round + 1)} />
    </Panel>
  )
}

function Form({ email, onChanged }: { email: string; onChanged: () => void }) {
  const change = useMutation({
    mutationFn: (body: { current_password: string; new_password: string }) =>
      unwrap(api.PUT('/api/v1/users/me/password', { body })),
    onSuccess: () => {
      notify('Your password is changed; your other sessions have ended.')
      onChanged()
    },
    onError: (error) => isFieldError(error) || notifyError(error),
  })
  const refusal = change.error ? asProblem(change.error) : undefined
  const password = useNewPassword(refusal?.fields.new_password)
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const current_password = String(new FormData(event.currentTarget).get('current'))
    if (password.validate()) change.mutate({ current_password, new_password: password.value })
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
          error={refusal?.is('password_refused') && refusal.message}
        />
        {password.fields}
        <Group>
          <Button type="submit" loading={change.isPending}>
            Change password
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

function isFieldError(error: unknown): boolean {
  const problem = asProblem(error)
  return problem.is('password_refused') || 'new_password' in problem.fields
}
