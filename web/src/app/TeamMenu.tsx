// Switches the current team. Responses of one team are never shown in another.

import { Menu, Text, UnstyledButton } from '@mantine/core'
import { IconChevronDown } from '@tabler/icons-react'
import { useLocation, useNavigate } from '@tanstack/react-router'
import { chooseTeam } from '@/api/session'
import type { OwnTeam } from '@/api/types'
import classes from '@/app/shell.module.css'

const LISTS = ['/models', '/collections'] as const

export function TeamMenu({ team: current, teams }: { team: OwnTeam; teams: OwnTeam[] }) {
  const navigate = useNavigate()
  const { pathname } = useLocation()
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <UnstyledButton className={classes.teamSwitch}>
          <Text span fw={600} truncate>
            {current.display_name}
          </Text>
          <IconChevronDown size={16} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {teams.map((team) => (
          <Menu.Item
            key={team.id}
            onClick={() => {
              chooseTeam(team)
              // Filters and open details belong to the previous team, as does the page of a model or collection.
              const list = LISTS.find((view) => pathname.startsWith(`${view}/`))
              void navigate({ to: list ?? '.', search: {} })
            }}
          >
            {team.display_name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
