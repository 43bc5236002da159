// Who one is here: one's password, one's sessions, one's teams.

import { Stack, Text } from '@mantine/core'
import { useSession } from '@/api/session'
import { Heading } from '@/parts/Heading'
import { Panel } from '@/parts/Panel'
import { OwnTeams } from '@/views/account/OwnTeams'
import { PasswordForm } from '@/views/account/PasswordForm'
import { Sessions } from '@/views/account/Sessions'
import { NewTeam } from '@/views/team/NewTeam'

export function Account() {
  const session = useSession()
  if (session.state !== 'signed-in') return null
  const { me } = session
  return (
    <>
      <Heading title="Account" />
      <Stack gap="lg" maw={640}>
        <Panel title="You">
          <Text fw={600}>
            <bdi>{me.display_name}</bdi>
          </Text>
          <Text c="dimmed">
            <bdi>{me.email_address}</bdi>
          </Text>
        </Panel>
        <OwnTeams teams={me.team_list} />
        <PasswordForm email={me.email_address} />
        <Sessions />
        <NewTeam />
      </Stack>
    </>
  )
}
