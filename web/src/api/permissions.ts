// Who may do what in a team: the table of section 2 of the API's contract, as far as buttons need it. The registry decides.

import { useMemo } from 'react'
import { useSession } from '@/api/session'
import type { Model, Role } from '@/api/types'

const RANK: Record<Role, number> = { viewer: 0, member: 1, admin: 2, owner: 3 }

/** The lowest role that may. */
const LOWEST = {
  upload: 'member',
  'edit any model': 'admin',
  'make keys': 'admin',
  'manage machines': 'admin',
  'manage members': 'admin',
  'read history': 'admin',
  'change team': 'admin',
  'transfer team': 'owner',
} as const satisfies Record<string, Role>

export type Action = keyof typeof LOWEST

interface Permissions {
  role: Role
  userId: string
  may(action: Action): boolean
  /** Below admin, people change what they registered themselves; what a key registered is nobody's own. */
  mayChange(model: Model): boolean
}

export function usePermissions(): Permissions {
  const session = useSession()
  const role = (session.state === 'signed-in' && session.team?.member_role) || 'viewer'
  const userId = session.state === 'signed-in' ? session.me.id : ''
  return useMemo(() => permissionsOf(role, userId), [role, userId])
}

function permissionsOf(role: Role, userId: string): Permissions {
  const may = (action: Action) => RANK[role] >= RANK[LOWEST[action]]
  return {
    role,
    userId,
    may,
    mayChange: (model) => may('edit any model') || (may('upload') && isOwn(model, userId)),
  }
}

function isOwn(model: Model, userId: string): boolean {
  return ['user', 'device'].includes(model.created_by.kind) && model.created_by.id === userId
}
