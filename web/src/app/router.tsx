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
import { collectionSearch } from '@/features/collections/search'
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
const model = createRoute({
  getParentRoute: () => inside,
  path: '/models/$id',
  validateSearch: modelSearch,
  component: lazyRouteComponent(() => import('@/features/models/page/ModelPage'), 'ModelPage'),
})
const upload = createRoute({
  getParentRoute: () => inside,
  path: '/upload',
  validateSearch: text('model', 'link'),
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
const workflows = createRoute({
  getParentRoute: () => inside,
  path: '/workflows',
  component: lazyRouteComponent(() => import('@/features/workflows/Workflows'), 'Workflows'),
})
const collections = createRoute({
  getParentRoute: () => inside,
  path: '/collections',
  component: lazyRouteComponent(() => import('@/features/collections/Collections'), 'Collections'),
})
const collection = createRoute({
  getParentRoute: () => inside,
  path: '/collections/$id',
  validateSearch: collectionSearch,
  component: lazyRouteComponent(() => import('@/features/collections/CollectionPage'), 'CollectionPage'),
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

const views = [
  ...[home, models, model, upload, machines, pair, workflows, collections, collection],
  ...[team, keys, history, settings, account],
]

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

/** Validate optional text search parameters. */
function text<Name extends string>(...names: Name[]) {
  return (search: Record<string, unknown>): { [key in Name]?: string } => {
    const given = names.filter((name) => search[name] !== undefined)
    return Object.fromEntries(given.map((name) => [name, String(search[name])])) as { [key in Name]?: string }
  }
}
