// Where the link of an invitation leads. Its token stands after the #, so that no server ever logs it.

import { Alert, Stack, Text } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useLocation } from '@tanstack/react-router'
import { useState } from 'react'
import { answered } from '@/api/client'
import { openly } from '@/api/openly'
import { asProblem } from '@/api/problem'
import { useSession } from '@/api/session'
import type { InvitationPreview } from '@/api/types'
import { AnchorLink } from '@/parts/links'
import { Failed, Loading } from '@/parts/states'
import { day } from '@/parts/words'
import { Doorway } from '@/views/signin/Doorway'
import { JoinAsMe, JoinAsNew, JoinBySigningIn } from '@/views/signin/joining'

export function Join() {
  useDocumentTitle('Join a team · Modelyard')
  const token = useLocation().hash
  const invitation = useQuery({
    queryKey: ['invitation', token],
    queryFn: () => answered(openly.POST('/api/v1/invitations/preview', { body: { invitation_token: token } })),
    enabled: token !== '',
    // What was read stays while it is being accepted.
    staleTime: Number.POSITIVE_INFINITY,
  })
  const isOver = token === '' || (invitation.isError && [404, 422].includes(asProblem(invitation.error).status))
  return (
    <Doorway title="Join a team">
      {isOver && <Over />}
      {!isOver && invitation.isError && <Failed error={invitation.error} again={() => void invitation.refetch()} />}
      {!isOver && invitation.isPending && <Loading what="Reading the invitation" />}
      {invitation.data && <Open invitation={invitation.data} token={token} />}
    </Doorway>
  )
}

function Over() {
  return (
    <Stack>
      <Alert color="red" title="This invitation cannot be used" role="alert">
        It was used or withdrawn, it is older than 7 days, or the link was not copied whole. Ask whoever invited you for
        a new one.
      </Alert>
      <AnchorLink to="/models">You have joined already? Open the models</AnchorLink>
    </Stack>
  )
}

function Open({ invitation, token }: { invitation: InvitationPreview; token: string }) {
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
        Good until {day(invitation.expires_at)}.
      </Text>
      <Door invitation={invitation} token={token} isSignedIn={session.state === 'signed-in'} />
    </Stack>
  )
}

interface DoorProps {
  invitation: InvitationPreview
  token: string
  isSignedIn: boolean
}

function Door({ invitation, token, isSignedIn }: DoorProps) {
  const session = useSession()
  // Signing in is a step of joining: the form stays until the whole is done, or says which step was refused.
  const [isByForm, setByForm] = useState(false)
  if (session.state === 'signed-out' && !isByForm) setByForm(true)
  if (session.state === 'starting') return <Loading what="Starting" />
  if (isSignedIn && !isByForm) return <JoinAsMe invitation={invitation} token={token} />
  const Way = invitation.has_account ? JoinBySigningIn : JoinAsNew
  return <Way invitation={invitation} token={token} />
}
