// What the user may do in the team, used to show or hide buttons. The registry enforces the permissions.

import { useMemo } from 'react'
import { useSession } from '@/api/session'
import type { Model, Role } from '@/api/types'
import { EDIT_EVERY_ROLE, REQUIRED_ROLE, ROLES } from '@/generated/permissions'

export type Operation = keyof typeof REQUIRED_ROLE

type Created = Pick<Model, 'created_by'>

interface Permissions {
  role: Role
  userId: string
  may(operation: Operation): boolean
  /**
   * Below admin, people can change only models and collections that they created; one that a key created has no such
   * person.
   */
  mayChange(record: Created): boolean
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
    mayChange: (record) => isAtLeast(role, EDIT_EVERY_ROLE) || (may('models_edit') && isOwn(record, userId)),
  }
}

function isAtLeast(role: Role, required: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(required)
}

function isOwn({ created_by }: Created, userId: string): boolean {
  return ['user', 'device'].includes(created_by.kind) && created_by.id === userId
}
