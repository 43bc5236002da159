// The account page: profile, teams, password and sessions.

import { Stack } from '@mantine/core'
import { useSession } from '@/api/session'
import { Heading } from '@/components/Heading'
import { OwnTeams } from '@/features/account/OwnTeams'
import { PasswordForm } from '@/features/account/PasswordForm'
import { ProfileForm } from '@/features/account/ProfileForm'
import { Sessions } from '@/features/account/Sessions'
import { NewTeam } from '@/features/team/NewTeam'

export function Account() {
  const session = useSession()
  if (session.state !== 'signed-in') return null
  const { me } = session
  return (
    <>
      <Heading title="Account" />
      <Stack gap="lg" maw={640}>
        <ProfileForm me={me} />
        <OwnTeams teams={me.team_list} />
        <PasswordForm email={me.email_address} />
        <Sessions />
        <NewTeam />
      </Stack>
    </>
  )
}
