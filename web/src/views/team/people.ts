// The team's people and open invitations, as the registry lists them, and the words for roles.

import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Invitation, Member, Role } from '@/api/types'
import { everyPage } from '@/parts/everyPage'

export type AssignableRole = Exclude<Role, 'owner'>

export const ROLES: { value: AssignableRole; label: string; may: string }[] = [
  { value: 'viewer', label: 'Viewer', may: 'sees and downloads models, pairs own devices' },
  { value: 'member', label: 'Member', may: 'also uploads; changes and deletes own models' },
  { value: 'admin', label: 'Admin', may: 'also changes all models, people, keys, machines and settings' },
]

export const MEMBERS = ['members']
export const INVITATIONS = ['invitations']

/** All members; nobody below an admin is told. */
export function useMembers() {
  const { may } = usePermissions()
  return useQuery({ queryKey: MEMBERS, queryFn: readMembers, enabled: may('manage members') })
}

export function useInvitations() {
  return useQuery({ queryKey: INVITATIONS, queryFn: readInvitations })
}

async function readMembers(): Promise<Member[]> {
  const pages = await everyPage((cursor) =>
    answered(api.GET('/api/v1/members', { params: { query: { cursor, per_page: 100 } } })),
  )
  return pages.flatMap((page) => page.member_list)
}

async function readInvitations(): Promise<Invitation[]> {
  const pages = await everyPage((cursor) =>
    answered(api.GET('/api/v1/invitations', { params: { query: { cursor, per_page: 100 } } })),
  )
  return pages.flatMap((page) => page.invitation_list)
}

/** Whether every word that was typed is in one of the texts. */
export function fits(typed: string, ...texts: string[]): boolean {
  const text = texts.join('\n').toLowerCase()
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
