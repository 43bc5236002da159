// The page of an invitation link. The token is in the fragment (#), so that no server logs it.

import { Alert, Stack, Text } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useLocation } from '@tanstack/react-router'
import { useState } from 'react'
import { unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { publicApi } from '@/api/publicApi'
import { useSession } from '@/api/session'
import type { InvitationPreview } from '@/api/types'
import { formatCount, formatDay } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { LoadError, Loading } from '@/components/placeholders'
import { JoinAsCurrentUser, JoinAsNew, JoinBySigningIn } from '@/features/signin/JoinForms'
import { SignInLayout } from '@/features/signin/SignInLayout'
import { INVITATION_DAYS } from '@/generated/durations'

export function Join() {
  useDocumentTitle('Join a team · Modelyard')
  const token = useLocation().hash
  const invitation = useQuery({
    queryKey: ['invitation', token],
    queryFn: () => unwrap(publicApi.POST('/api/v1/invitations/preview', { body: { invitation_token: token } })),
    enabled: token !== '',
    // Keep the invitation while it is being accepted.
    staleTime: Number.POSITIVE_INFINITY,
  })
  const isInvalid = token === '' || (invitation.isError && [404, 422].includes(asProblem(invitation.error).status))
  return (
    <SignInLayout title="Join a team">
      {isInvalid && <InvitationError />}
      {!isInvalid && invitation.isError && (
        <LoadError error={invitation.error} onRetry={() => void invitation.refetch()} />
      )}
      {!isInvalid && invitation.isPending && <Loading label="Reading the invitation" />}
      {invitation.data && <InvitationDetails invitation={invitation.data} token={token} />}
    </SignInLayout>
  )
}

function InvitationError() {
  return (
    <Stack>
      <Alert color="red" title="This invitation cannot be used" role="alert">
        It was used or withdrawn, it is older than {formatCount(INVITATION_DAYS, 'day')}, or the link is incomplete. Ask
        the person who invited you for a new one.
      </Alert>
      <AnchorLink to="/models">Already joined? Open models</AnchorLink>
    </Stack>
  )
}

function InvitationDetails({ invitation, token }: { invitation: InvitationPreview; token: string }) {
  const session = useSession()
  return (
    <Stack>
      <Text>
        <strong>
          <bdi>{invitation.email_address}</bdi>
        </strong>{' '}
        is invited to the team “<bdi>{invitation.team_name}</bdi>” as: {invitation.invitation_role}.
      </Text>
      <Text size="sm" c="dimmed">
        Valid until {formatDay(invitation.expires_at)}.
      </Text>
      <JoinForm invitation={invitation} token={token} isSignedIn={session.state === 'signed-in'} />
    </Stack>
  )
}

interface JoinFormProps {
  invitation: InvitationPreview
  token: string
  isSignedIn: boolean
}

function JoinForm({ invitation, token, isSignedIn }: JoinFormProps) {
  const session = useSession()
  // Signing in is part of joining: the form stays until all steps are done, or shows which step failed.
  const [isByForm, setByForm] = useState(false)
  if (session.state === 'signed-out' && !isByForm) setByForm(true)
  if (session.state === 'starting') return <Loading label="Starting" />
  if (isSignedIn && !isByForm) return <JoinAsCurrentUser invitation={invitation} token={token} />
  const Way = invitation.has_account ? JoinBySigningIn : JoinAsNew
  return <Way invitation={invitation} token={token} />
}
