// The layout of every signed-in view: header, content, and the navigation of narrow screens.

import { AppShell } from '@mantine/core'
import { IconLink, IconUpload } from '@tabler/icons-react'
import { Outlet, useLocation } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { AccountMenu } from '@/app/AccountMenu'
import { JumpBox } from '@/app/JumpBox'
import { BottomNavigation, HeaderNavigation, TeamNavigation } from '@/app/Navigation'
import { NoTeam } from '@/app/NoTeam'
import { OutageNotice } from '@/app/OutageNotice'
import classes from '@/app/shell.module.css'
import { TeamSwitch } from '@/app/TeamSwitch'
import { UploadIndicator } from '@/app/UploadIndicator'
import { useMembershipNotice } from '@/app/useMembershipNotice'
import { useRememberOpened } from '@/app/useRememberOpened'
import { ColorSchemeSwitch } from '@/components/ColorSchemeSwitch'
import { ButtonLink, IconLinkTo } from '@/components/links'
import mark from '@/mark.svg'

const HEADER_HEIGHT = 48
const FOOTER_HEIGHT = 56

export function Shell() {
  const session = useSession()
  const { pathname } = useLocation()
  const team = session.state === 'signed-in' ? session.team : undefined
  useMembershipNotice()
  useRememberOpened()
  // The gallery uses the whole width, with filters at its edge.
  const isFullWidth = pathname === '/models' && team !== undefined
  return (
    <AppShell
      className={classes.shell}
      header={{ height: HEADER_HEIGHT }}
      footer={{ height: { base: team ? FOOTER_HEIGHT : 0, sm: 0 } }}
    >
      <a className="skip-link" href="#view">
        Skip to content
      </a>
      <AppShell.Header className={classes.header}>
        <div className={classes.brand}>
          <img src={mark} alt="" className={classes.mark} />
          <TeamSwitch />
        </div>
        {team && <HeaderNavigation />}
        <span className={classes.grow} />
        {team && <JumpBox />}
        <UploadIndicator />
        <ColorSchemeSwitch />
        <AccountMenu />
        {team && <AddButtons />}
      </AppShell.Header>
      {/* A view of another team begins anew. */}
      <AppShell.Main id="view" tabIndex={-1} key={team?.id}>
        <div className={isFullWidth ? undefined : classes.page}>
          {team && pathname.startsWith('/team') && <TeamNavigation />}
          {team || pathname === '/account' ? <Outlet /> : <NoTeam />}
        </div>
      </AppShell.Main>
      <OutageNotice />
      {team && (
        <AppShell.Footer hiddenFrom="sm">
          <BottomNavigation />
        </AppShell.Footer>
      )}
    </AppShell>
  )
}

function AddButtons() {
  const { may } = usePermissions()
  if (!may('models_upload')) return null
  return (
    <>
      {may('imports_change') && (
        <IconLinkTo
          to="/upload"
          search={{ link: '' }}
          aria-label="Add from link"
          title="Add from link"
          visibleFrom="sm"
        >
          <IconLink size={18} aria-hidden />
        </IconLinkTo>
      )}
      <ButtonLink to="/upload" className={classes.upload} ml={8} leftSection={<IconUpload size={16} aria-hidden />}>
        Upload
      </ButtonLink>
    </>
  )
}
