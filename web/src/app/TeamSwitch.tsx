// Switches the current team. Responses of one team are never shown in another.

import { Button, Menu, Text } from '@mantine/core'
import { IconChevronDown } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { chooseTeam, useSession } from '@/api/session'

export function TeamSwitch() {
  const session = useSession()
  const navigate = useNavigate()
  if (session.state !== 'signed-in' || !session.team) return null
  const teams = session.me.team_list
  if (teams.length === 1) {
    return (
      <Text c="dimmed" truncate maw={240}>
        {session.team.display_name}
      </Text>
    )
  }
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <Button variant="subtle" color="gray" rightSection={<IconChevronDown size={16} />} maw={240}>
          {session.team.display_name}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {teams.map((team) => (
          <Menu.Item
            key={team.id}
            onClick={() => {
              chooseTeam(team)
              // Filters and open details belong to the previous team.
              void navigate({ to: '.', search: {} })
            }}
          >
            {team.display_name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
