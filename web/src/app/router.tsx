// Every address of the page. A view is loaded when it is first opened; what it shows is in its address, so that links
// and the back button work.

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { Gate } from '@/app/Gate'
import { NotFound } from '@/app/NotFound'
import { NotShown } from '@/app/NotShown'
import { Shell } from '@/app/Shell'
import { machineSearch } from '@/views/machines/search'
import { modelSearch } from '@/views/models/search'
import { auditSearch, keySearch } from '@/views/team/search'

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound })

// For people who have no account yet, or cannot sign in.
const join = createRoute({
  getParentRoute: () => root,
  path: '/join',
  component: lazyRouteComponent(() => import('@/views/signin/Join'), 'Join'),
})
const resetPassword = createRoute({
  getParentRoute: () => root,
  path: '/reset-password',
  validateSearch: text('token'),
  component: lazyRouteComponent(() => import('@/views/signin/ResetPassword'), 'ResetPassword'),
})

// For members of a team. `Gate` shows the sign-in in place of the view, so that the address stays.
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: () => (
    <Gate>
      <Shell />
    </Gate>
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
  component: lazyRouteComponent(() => import('@/views/models/Models'), 'Models'),
})
const upload = createRoute({
  getParentRoute: () => inside,
  path: '/upload',
  component: lazyRouteComponent(() => import('@/views/upload/Upload'), 'Upload'),
})
const machines = createRoute({
  getParentRoute: () => inside,
  path: '/machines',
  validateSearch: machineSearch,
  component: lazyRouteComponent(() => import('@/views/machines/Machines'), 'Machines'),
})
const pair = createRoute({
  getParentRoute: () => inside,
  path: '/pair',
  validateSearch: text('code'),
  component: lazyRouteComponent(() => import('@/views/machines/Pair'), 'Pair'),
})
const team = createRoute({
  getParentRoute: () => inside,
  path: '/team',
  component: lazyRouteComponent(() => import('@/views/team/Team'), 'Team'),
})
const keys = createRoute({
  getParentRoute: () => inside,
  path: '/team/keys',
  validateSearch: keySearch,
  component: lazyRouteComponent(() => import('@/views/team/Keys'), 'Keys'),
})
const history = createRoute({
  getParentRoute: () => inside,
  path: '/team/history',
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import('@/views/team/History'), 'History'),
})
const settings = createRoute({
  getParentRoute: () => inside,
  path: '/team/settings',
  component: lazyRouteComponent(() => import('@/views/team/Settings'), 'Settings'),
})
const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('@/views/account/Account'), 'Account'),
})

const views = [home, models, upload, machines, pair, team, keys, history, settings, account]

export const router = createRouter({
  routeTree: root.addChildren([join, resetPassword, inside.addChildren(views)]),
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultErrorComponent: NotShown,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

/** A search parameter that is a text, or left out. */
function text<Name extends string>(name: Name) {
  return (search: Record<string, unknown>): { [key in Name]?: string } => {
    const value = search[name]
    return (value === undefined ? {} : { [name]: String(value) }) as { [key in Name]?: string }
  }
}
