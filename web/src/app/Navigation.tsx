// The links to the views: in the header, at the bottom of narrow screens, and as tabs of the team.

import { UnstyledButton, VisuallyHidden } from '@mantine/core'
import { createLink, useLocation } from '@tanstack/react-router'
import { type AnchorHTMLAttributes, useMemo } from 'react'
import { usePermissions } from '@/api/permissions'
import { MoreViews } from '@/app/MoreViews'
import classes from '@/app/shell.module.css'
import { useProblemCount } from '@/app/useProblemCount'
import { isWithin, TEAM_VIEWS, VIEWS } from '@/app/views'

const NavAnchor = createLink((props: AnchorHTMLAttributes<HTMLAnchorElement>) => (
  <UnstyledButton component="a" {...props} />
))

/** How many tabs are at the bottom of narrow screens. */
const MAX_TABS = 5

/** Return the views that the user may see; "Team" leads to the first of its views. */
function useViews() {
  const { may } = usePermissions()
  return useMemo(() => {
    const teamViews = TEAM_VIEWS.filter(({ needs }) => !needs || may(needs))
    const views = VIEWS.filter(({ needs }) => !needs || may(needs))
    return { teamViews, views: views.map((view) => ({ ...view, target: targetOf(view.to, teamViews[0]?.to) })) }
  }, [may])
}

function targetOf(to: string, firstTeamView = to): string {
  return to === '/team' ? firstTeamView : to
}

export function HeaderNavigation() {
  const { pathname } = useLocation()
  const { views } = useViews()
  return (
    <nav className={classes.nav} aria-label="Views">
      {views.map((view) => (
        <NavAnchor
          key={view.to}
          to={view.target}
          className={classes.navLink}
          aria-current={isWithin(pathname, view) ? 'page' : undefined}
        >
          {view.label}
          {view.to === '/machines' && <ProblemCount />}
        </NavAnchor>
      ))}
    </nav>
  )
}

/** The number of machines with a problem; nothing if there are none. */
function ProblemCount() {
  const count = useProblemCount()
  if (!count) return null
  return (
    <span className={classes.problems}>
      {count.toLocaleString('en')}
      <VisuallyHidden> with a problem</VisuallyHidden>
    </span>
  )
}

export function BottomNavigation() {
  const { pathname } = useLocation()
  const { views } = useViews()
  // If there are more views than tabs, the last tab opens the others.
  const count = views.length > MAX_TABS ? MAX_TABS - 1 : MAX_TABS
  return (
    <nav className={classes.tabs} aria-label="Views">
      {views.slice(0, count).map(({ icon: Icon, ...view }) => (
        <NavAnchor
          key={view.to}
          to={view.target}
          className={classes.tab}
          aria-current={isWithin(pathname, view) ? 'page' : undefined}
        >
          <Icon size={20} stroke={1.75} aria-hidden />
          {view.label}
          {view.to === '/machines' && <ProblemCount />}
        </NavAnchor>
      ))}
      {views.length > count && <MoreViews views={views.slice(count)} />}
    </nav>
  )
}

export function TeamNavigation() {
  const { pathname } = useLocation()
  const { teamViews } = useViews()
  return (
    <nav className={classes.teamTabs} aria-label="Team">
      {teamViews.map(({ to, label }) => (
        <NavAnchor
          key={to}
          to={to}
          className={classes.navLink}
          // The address of the members is the beginning of all others.
          activeOptions={{ exact: true }}
          aria-current={pathname === to ? 'page' : undefined}
        >
          {label}
        </NavAnchor>
      ))}
    </nav>
  )
}
