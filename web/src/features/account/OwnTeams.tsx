// The user's teams with their role in each.

import { Badge, Button, Group, Text } from '@mantine/core'
import { chooseTeam, useSession } from '@/api/session'
import type { OwnTeam } from '@/api/types'
import { Panel } from '@/components/Panel'

export function OwnTeams({ teams }: { teams: OwnTeam[] }) {
  const session = useSession()
  const currentTeamId = session.state === 'signed-in' ? session.team?.id : undefined
  return (
    <Panel title="Your teams">
      {teams.length === 0 && <Text>None. Ask a team admin for an invitation, or create a team below.</Text>}
      {teams.map((team) => (
        <Group key={team.id} justify="space-between" gap="sm">
          <Group gap="xs">
            <Text>
              <bdi>{team.display_name}</bdi>
            </Text>
            <Badge variant="default" tt="none">
              {team.member_role}
            </Badge>
          </Group>
          {team.id === currentTeamId ? (
            <Text size="sm" c="dimmed">
              Current team
            </Text>
          ) : (
            <Button
              size="compact-sm"
              variant="default"
              aria-label={`Switch to ${team.display_name}`}
              onClick={() => chooseTeam(team)}
            >
              Switch team
            </Button>
          )}
        </Group>
      ))}
    </Panel>
  )
}
