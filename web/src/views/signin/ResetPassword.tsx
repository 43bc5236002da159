// Where the operator's link leads: a new password, once.

import { Alert, Button, Stack, Text } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useEffect, useState } from 'react'
import { answered } from '@/api/client'
import { openly } from '@/api/openly'
import { asProblem } from '@/api/problem'
import { forget } from '@/api/session'
import { AnchorLink } from '@/parts/links'
import { useNewPassword } from '@/parts/newPassword'
import { Doorway } from '@/views/signin/Doorway'

const route = getRouteApi('/reset-password')

export function ResetPassword() {
  useDocumentTitle('New password · Modelyard')
  const asked = route.useSearch()
  const [token] = useState(asked.token ?? '')
  // Whoever looks over a shoulder, or into the browser's history, finds no token.
  useEffect(() => window.history.replaceState(window.history.state, '', '/reset-password'), [])
  return (
    <Doorway title="New password">
      {token ? <Form token={token} /> : <Over>The link was not copied whole, or this page was loaded again.</Over>}
    </Doorway>
  )
}

function Over({ children }: { children: ReactNode }) {
  return (
    <Alert color="red" title="This link cannot be used" role="alert">
      {children} Open the link again, or ask whoever runs this registry for a new one.
    </Alert>
  )
}

function Form({ token }: { token: string }) {
  const reset = useMutation({
    mutationFn: (new_password: string) =>
      answered(openly.POST('/api/v1/auth/password-reset', { body: { reset_token: token, new_password } })),
    onSuccess: () => {
      // All sessions have ended, and with them the one that this browser may have had.
      forget()
    },
  })
  const problem = reset.error ? asProblem(reset.error) : undefined
  const password = useNewPassword(problem?.fields.new_password)
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (password.checked()) reset.mutate(password.value)
  }
  if (problem?.status === 404) return <Over>It was used already, or it is older than one hour.</Over>
  if (reset.isSuccess) return <Changed />
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <Text>Your new password ends all your sessions; then you sign in with it.</Text>
        {password.fields}
        {problem && !problem.fields.new_password && (
          <Text c="var(--mantine-color-error)" size="sm" role="alert">
            {problem.message}
          </Text>
        )}
        <Button type="submit" loading={reset.isPending}>
          Set the password
        </Button>
      </Stack>
    </form>
  )
}

function Changed() {
  return (
    <Stack role="status">
      <Text>Your password is changed.</Text>
      <AnchorLink to="/models">Sign in</AnchorLink>
    </Stack>
  )
}
