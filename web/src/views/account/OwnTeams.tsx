// The teams that one belongs to, and as what.

import { Badge, Button, Group, Text } from '@mantine/core'
import { chooseTeam, useSession } from '@/api/session'
import type { OwnTeam } from '@/api/types'
import { Panel } from '@/parts/Panel'

export function OwnTeams({ teams }: { teams: OwnTeam[] }) {
  const session = useSession()
  const here = session.state === 'signed-in' ? session.team?.id : undefined
  return (
    <Panel title="Your teams">
      {teams.length === 0 && <Text>None. Ask somebody for an invitation, or make one below.</Text>}
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
          {team.id === here ? (
            <Text size="sm" c="dimmed">
              You are here
            </Text>
          ) : (
            <Button
              size="compact-sm"
              variant="default"
              aria-label={`Go to ${team.display_name}`}
              onClick={() => chooseTeam(team)}
            >
              Go there
            </Button>
          )}
        </Group>
      ))}
    </Panel>
  )
}
