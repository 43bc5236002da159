// The layout of every signed-in view: header, navigation and content.

import { AppShell, Burger, Group, NavLink, ScrollArea, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import {
  IconBox,
  IconDeviceDesktop,
  IconHistory,
  IconKey,
  IconSettings,
  IconUpload,
  IconUsers,
  type TablerIcon,
} from '@tabler/icons-react'
import { Link, Outlet, useLocation } from '@tanstack/react-router'
import { type Operation, usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { AccountMenu } from '@/app/AccountMenu'
import { NoTeam } from '@/app/NoTeam'
import { TeamSwitch } from '@/app/TeamSwitch'
import { UploadIndicator } from '@/app/UploadIndicator'
import { useMembershipNotice } from '@/app/useMembershipNotice'
import { ColorSchemeSwitch } from '@/components/ColorSchemeSwitch'
import mark from '@/mark.svg'

interface NavItem {
  to: string
  label: string
  icon: TablerIcon
  needs?: Operation
}

const NAV_ITEMS: NavItem[] = [
  { to: '/models', label: 'Models', icon: IconBox },
  { to: '/upload', label: 'Upload', icon: IconUpload, needs: 'models_upload' },
  { to: '/machines', label: 'Machines', icon: IconDeviceDesktop },
  { to: '/team', label: 'Members', icon: IconUsers, needs: 'members_list' },
  { to: '/team/keys', label: 'Keys', icon: IconKey },
  { to: '/team/history', label: 'History', icon: IconHistory, needs: 'audit_read' },
  { to: '/team/settings', label: 'Team settings', icon: IconSettings },
]

export function Shell() {
  const session = useSession()
  const [isOpen, { toggle, close }] = useDisclosure(false)
  const { pathname } = useLocation()
  const team = session.state === 'signed-in' ? session.team : undefined
  useMembershipNotice()
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 208, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
      padding={{ base: 'sm', sm: 'md' }}
    >
      <a className="skip-link" href="#view">
        Skip to content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
            <img src={mark} alt="" width={28} height={28} />
            <Text fw={700} visibleFrom="xs">
              Modelyard
            </Text>
            <TeamSwitch />
          </Group>
          <Group gap="xs" wrap="nowrap">
            <UploadIndicator />
            <ColorSchemeSwitch />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Views">
        <AppShell.Section grow component={ScrollArea}>
          {team && <NavLinks onGo={close} />}
        </AppShell.Section>
      </AppShell.Navbar>
      {/* A view of another team begins anew. */}
      <AppShell.Main id="view" tabIndex={-1} key={team?.id}>
        {team || pathname === '/account' ? <Outlet /> : <NoTeam />}
      </AppShell.Main>
    </AppShell>
  )
}

function NavLinks({ onGo }: { onGo: () => void }) {
  const { may } = usePermissions()
  const { pathname } = useLocation()
  return NAV_ITEMS.filter((place) => !place.needs || may(place.needs)).map((place) => (
    <NavLink
      key={place.to}
      component={Link}
      to={place.to}
      // Without it, the members would be marked in every view of the team.
      activeOptions={{ exact: true, includeSearch: false }}
      label={place.label}
      leftSection={<place.icon size={18} aria-hidden />}
      active={pathname === place.to}
      aria-current={pathname === place.to ? 'page' : undefined}
      onClick={onGo}
    />
  ))
}
