// What the user may do in the team, used to show or hide buttons. The registry enforces the permissions.

import { useMemo } from 'react'
import { useSession } from '@/api/session'
import type { Model, Role } from '@/api/types'
import { EDIT_EVERY_MODEL_ROLE, REQUIRED_ROLE, ROLES } from '@/generated/permissions'

export type Operation = keyof typeof REQUIRED_ROLE

interface Permissions {
  role: Role
  userId: string
  may(operation: Operation): boolean
  /**
   * Below admin, people can change only models that they registered; a model registered by a key has no such person.
   */
  mayChange(model: Model): boolean
}

export function usePermissions(): Permissions {
  const session = useSession()
  const role = (session.state === 'signed-in' && session.team?.member_role) || 'viewer'
  const userId = session.state === 'signed-in' ? session.me.id : ''
  return useMemo(() => buildPermissions(role, userId), [role, userId])
}

function buildPermissions(role: Role, userId: string): Permissions {
  const may = (operation: Operation) => isAtLeast(role, REQUIRED_ROLE[operation])
  return {
    role,
    userId,
    may,
    mayChange: (model) => isAtLeast(role, EDIT_EVERY_MODEL_ROLE) || (may('models_edit') && isOwn(model, userId)),
  }
}

function isAtLeast(role: Role, required: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(required)
}

function isOwn(model: Model, userId: string): boolean {
  return ['user', 'device'].includes(model.created_by.kind) && model.created_by.id === userId
}
