// The page of a password reset link, which can be used once.

import { Alert, Button, Stack, Text } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useEffect, useState } from 'react'
import { unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { publicApi } from '@/api/publicApi'
import { clearSession } from '@/api/session'
import { formatCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { useNewPassword } from '@/components/useNewPassword'
import { SignInLayout } from '@/features/signin/SignInLayout'
import { RESET_HOURS } from '@/generated/durations'

const route = getRouteApi('/reset-password')

export function ResetPassword() {
  useDocumentTitle('New password · Modelyard')
  const search = route.useSearch()
  const [token] = useState(search.token ?? '')
  // Remove the token from the address bar and the browser's history.
  useEffect(() => window.history.replaceState(window.history.state, '', '/reset-password'), [])
  return (
    <SignInLayout title="New password">
      {token ? <Form token={token} /> : <LinkError>The link is incomplete, or this page was reloaded.</LinkError>}
    </SignInLayout>
  )
}

function LinkError({ children }: { children: ReactNode }) {
  return (
    <Alert color="red" title="This link cannot be used" role="alert">
      {children} Open the link again, or ask the operator of this registry for a new one.
    </Alert>
  )
}

function Form({ token }: { token: string }) {
  const reset = useMutation({
    mutationFn: (new_password: string) =>
      unwrap(publicApi.POST('/api/v1/auth/password-reset', { body: { reset_token: token, new_password } })),
    onSuccess: () => {
      // The registry has ended all sessions, including one of this browser.
      clearSession()
    },
  })
  const problem = reset.error ? asProblem(reset.error) : undefined
  const password = useNewPassword(problem?.fields.new_password)
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (password.validate()) reset.mutate(password.value)
  }
  if (problem?.status === 404)
    return <LinkError>It was already used, or it is older than {formatCount(RESET_HOURS, 'hour')}.</LinkError>
  if (reset.isSuccess) return <Changed />
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <Text>A new password ends all your sessions. Sign in with it afterwards.</Text>
        {password.fields}
        {problem && !problem.fields.new_password && (
          <Text c="var(--mantine-color-error)" size="sm" role="alert">
            {problem.message}
          </Text>
        )}
        <Button type="submit" loading={reset.isPending}>
          Set password
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
