// Queries of members and open invitations, and descriptions of roles.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { readAllPages } from '@/api/readAllPages'
import type { Invitation, Member } from '@/api/types'
import { MAX_PAGE_ROWS } from '@/generated/paging'
import { ASSIGNABLE_ROLES } from '@/generated/permissions'

export type AssignableRole = (typeof ASSIGNABLE_ROLES)[number]

const ROLE_TEXTS: Record<AssignableRole, { label: string; may: string }> = {
  viewer: { label: 'Viewer', may: 'sees and downloads models, pairs own devices' },
  member: { label: 'Member', may: 'also uploads; changes and deletes own models' },
  admin: { label: 'Admin', may: 'also changes all models, people, keys, machines and settings' },
}

export const ROLE_OPTIONS = ASSIGNABLE_ROLES.map((role) => ({ value: role, ...ROLE_TEXTS[role] }))

export const MEMBERS = ['members']
export const INVITATIONS = ['invitations']

/** Query all members; only admins can read them. */
export function useMembers() {
  const { may } = usePermissions()
  return useQuery({ queryKey: MEMBERS, queryFn: readMembers, enabled: may('members_list') })
}

export function useInvitations() {
  return useQuery({ queryKey: INVITATIONS, queryFn: readInvitations })
}

async function readMembers(): Promise<Member[]> {
  const pages = await readAllPages((cursor) =>
    unwrap(api.GET('/api/v1/members', { params: { query: { cursor, per_page: MAX_PAGE_ROWS } } })),
  )
  return pages.flatMap((page) => page.member_list)
}

async function readInvitations(): Promise<Invitation[]> {
  const pages = await readAllPages((cursor) =>
    unwrap(api.GET('/api/v1/invitations', { params: { query: { cursor, per_page: MAX_PAGE_ROWS } } })),
  )
  return pages.flatMap((page) => page.invitation_list)
}

/** Return whether each typed word is in one of the texts. */
export function matchesSearch(typed: string, ...texts: string[]): boolean {
  const text = texts.join('\n').toLowerCase()
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
