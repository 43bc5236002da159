// The name of the current team; a menu for people who are in several.

import { Text } from '@mantine/core'
import { lazy, Suspense } from 'react'
import { useSession } from '@/api/session'

const TeamMenu = lazy(() => import('@/app/TeamMenu').then(({ TeamMenu }) => ({ default: TeamMenu })))

export function TeamSwitch() {
  const session = useSession()
  if (session.state !== 'signed-in' || !session.team) return <Text fw={600}>Modelyard</Text>
  const teams = session.me.team_list
  const name = (
    <Text fw={600} truncate maw={200}>
      {session.team.display_name}
    </Text>
  )
  if (teams.length === 1) return name
  return (
    <Suspense fallback={name}>
      <TeamMenu team={session.team} teams={teams} />
    </Suspense>
  )
}
