// The three ways to join a team: as the current user, by signing in, or with a new account.

import { Button, Group, PasswordInput, Stack, Text, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import type { FormEvent } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { publicApi } from '@/api/publicApi'
import { enterTeam, signIn, signOut, useSession } from '@/api/session'
import type { InvitationPreview } from '@/api/types'
import { notify, notifyError } from '@/components/notify'
import { useNewPassword } from '@/components/useNewPassword'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

interface JoinFormProps {
  invitation: InvitationPreview
  token: string
}

/** Return a function that opens the team's models after joining and replaces the used link in the history. */
function useEnterTeam(invitation: InvitationPreview) {
  const navigate = useNavigate()
  return async () => {
    await enterTeam(invitation.team_id)
    await navigate({ to: '/models', replace: true })
    notify(`Welcome to “${invitation.team_name}”.`)
  }
}

async function acceptInvitation(invitation_token: string): Promise<void> {
  await unwrap(api.POST('/api/v1/invitations/accept', { body: { invitation_token } }))
}

export function JoinAsCurrentUser({ invitation, token }: JoinFormProps) {
  const session = useSession()
  const enter = useEnterTeam(invitation)
  const join = useMutation({
    mutationFn: async () => {
      await acceptInvitation(token)
      await enter()
    },
  })
  if (session.state !== 'signed-in') return null
  const { me } = session
  if (me.email_address.toLowerCase() !== invitation.email_address.toLowerCase()) {
    return <WrongAccount email={me.email_address} />
  }
  return (
    <Stack>
      <FormError error={join.error} />
      <Button loading={join.isPending} onClick={() => join.mutate()}>
        Join as {me.display_name}
      </Button>
    </Stack>
  )
}

function WrongAccount({ email }: { email: string }) {
  const leave = useMutation({ mutationFn: () => signOut(), onError: notifyError })
  return (
    <Stack>
      <Text role="alert">
        You are signed in as <bdi>{email}</bdi>, and the invitation is for another address.
      </Text>
      <Group>
        <Button loading={leave.isPending} onClick={() => leave.mutate()}>
          Sign out and continue
        </Button>
      </Group>
    </Stack>
  )
}

export function JoinBySigningIn({ invitation, token }: JoinFormProps) {
  const enter = useEnterTeam(invitation)
  const join = useMutation({
    mutationFn: async (password: string) => {
      await signIn(invitation.email_address, password)
      await acceptInvitation(token)
      await enter()
    },
  })
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    join.mutate(String(new FormData(event.currentTarget).get('password')))
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <Text>This address has an account here: sign in to join.</Text>
        <TextInput label="E-mail" autoComplete="username" value={invitation.email_address} readOnly />
        <PasswordInput name="password" label="Password" autoComplete="current-password" required />
        <FormError error={join.error} />
        <Button type="submit" loading={join.isPending}>
          Sign in and join
        </Button>
      </Stack>
    </form>
  )
}

export function JoinAsNew({ invitation, token }: JoinFormProps) {
  const enter = useEnterTeam(invitation)
  const join = useMutation({
    mutationFn: async (asked: { first_name: string; last_name: string; user_password: string }) => {
      await unwrap(publicApi.POST('/api/v1/invitations/accept', { body: { invitation_token: token, ...asked } }))
      await signIn(invitation.email_address, asked.user_password)
      await enter()
    },
  })
  const fields = join.error ? asProblem(join.error).fields : {}
  const password = useNewPassword(fields.user_password)
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const typed = new FormData(event.currentTarget)
    const [first_name, last_name] = [String(typed.get('first')).trim(), String(typed.get('last')).trim()]
    if (password.validate()) join.mutate({ first_name, last_name, user_password: password.value })
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <Text>You have no account here yet. Create one:</Text>
        <TextInput label="E-mail" autoComplete="username" value={invitation.email_address} readOnly />
        <TextInput
          name="first"
          label="First name"
          autoComplete="given-name"
          required
          maxLength={MAX_NAME_LENGTH}
          error={fields.first_name}
        />
        <TextInput
          name="last"
          label="Last name"
          autoComplete="family-name"
          required
          maxLength={MAX_NAME_LENGTH}
          error={fields.last_name}
        />
        {password.fields}
        <FormError error={join.error} />
        <Button type="submit" loading={join.isPending}>
          Create account and join
        </Button>
      </Stack>
    </form>
  )
}

function FormError({ error }: { error: unknown }) {
  if (!error) return null
  return (
    <Text c="var(--mantine-color-error)" size="sm" role="alert">
      {asProblem(error).message}
    </Text>
  )
}
