// All routes of the page. A view is loaded when it is first opened; its state is in its address, so that links
// and the back button work.

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { NotFound } from '@/app/NotFound'
import { RequireSession } from '@/app/RequireSession'
import { Shell } from '@/app/Shell'
import { ViewError } from '@/app/ViewError'
import { machineSearch } from '@/features/machines/search'
import { modelSearch } from '@/features/models/search'
import { auditSearch, keySearch } from '@/features/team/search'

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound })

// For people who have no account yet, or cannot sign in.
const join = createRoute({
  getParentRoute: () => root,
  path: '/join',
  component: lazyRouteComponent(() => import('@/features/signin/Join'), 'Join'),
})
const resetPassword = createRoute({
  getParentRoute: () => root,
  path: '/reset-password',
  validateSearch: text('token'),
  component: lazyRouteComponent(() => import('@/features/signin/ResetPassword'), 'ResetPassword'),
})

// For members of a team. `RequireSession` shows the sign-in form in place of the view and keeps the address.
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: () => (
    <RequireSession>
      <Shell />
    </RequireSession>
  ),
})
const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/models' })
  },
})
const models = createRoute({
  getParentRoute: () => inside,
  path: '/models',
  validateSearch: modelSearch,
  component: lazyRouteComponent(() => import('@/features/models/Models'), 'Models'),
})
const upload = createRoute({
  getParentRoute: () => inside,
  path: '/upload',
  validateSearch: text('model'),
  component: lazyRouteComponent(() => import('@/features/upload/Upload'), 'Upload'),
})
const machines = createRoute({
  getParentRoute: () => inside,
  path: '/machines',
  validateSearch: machineSearch,
  component: lazyRouteComponent(() => import('@/features/machines/Machines'), 'Machines'),
})
const pair = createRoute({
  getParentRoute: () => inside,
  path: '/pair',
  validateSearch: text('code'),
  component: lazyRouteComponent(() => import('@/features/machines/Pair'), 'Pair'),
})
const team = createRoute({
  getParentRoute: () => inside,
  path: '/team',
  component: lazyRouteComponent(() => import('@/features/team/Team'), 'Team'),
})
const keys = createRoute({
  getParentRoute: () => inside,
  path: '/team/keys',
  validateSearch: keySearch,
  component: lazyRouteComponent(() => import('@/features/team/Keys'), 'Keys'),
})
const history = createRoute({
  getParentRoute: () => inside,
  path: '/team/history',
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import('@/features/team/History'), 'History'),
})
const settings = createRoute({
  getParentRoute: () => inside,
  path: '/team/settings',
  component: lazyRouteComponent(() => import('@/features/team/Settings'), 'Settings'),
})
const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('@/features/account/Account'), 'Account'),
})

const views = [home, models, upload, machines, pair, team, keys, history, settings, account]

export const router = createRouter({
  routeTree: root.addChildren([join, resetPassword, inside.addChildren(views)]),
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultErrorComponent: ViewError,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

/** Validate an optional text search parameter. */
function text<Name extends string>(name: Name) {
  return (search: Record<string, unknown>): { [key in Name]?: string } => {
    const value = search[name]
    return (value === undefined ? {} : { [name]: String(value) }) as { [key in Name]?: string }
  }
}
