import { Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import { signIn } from '@/api/session'
import { SignInLayout } from '@/features/signin/SignInLayout'

export function SignIn() {
  useDocumentTitle('Sign in · Modelyard')
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const typed = new FormData(event.currentTarget)
    setBusy(true)
    setRefusal('')
    try {
      await signIn(String(typed.get('email')), String(typed.get('password')))
    } catch (error) {
      setRefusal(asProblem(error).message)
      setBusy(false)
    }
  }
  return (
    <SignInLayout title="Sign in">
      <form onSubmit={(event) => void onSubmit(event)}>
        <Stack>
          <TextInput name="email" label="E-mail" type="email" autoComplete="username" required data-autofocus />
          <PasswordInput name="password" label="Password" autoComplete="current-password" required />
          {refusal && (
            <Text c="var(--mantine-color-error)" size="sm" role="alert">
              {refusal}
            </Text>
          )}
          <Button type="submit" loading={isBusy}>
            Sign in
          </Button>
          <Text size="sm" c="dimmed">
            Forgot your password? The operator of this registry can create a reset link with modelyard reset-password.
          </Text>
        </Stack>
      </form>
    </SignInLayout>
  )
}
