// The table of members, with role selection and removal.

import { Badge, NativeSelect } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Member } from '@/api/types'
import { Ago } from '@/components/Ago'
import { Confirm } from '@/components/Confirm'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { notify, notifyError, notifyWithUndo } from '@/components/notify'
import { Person } from '@/components/Person'
import { RowButton } from '@/components/RowButton'
import {
  CreatorKeysDialog,
  getKeysProblem,
  type KeysChoice,
  type KeysQuestion,
  notifyToRotate,
} from '@/features/team/CreatorKeysDialog'
import { REVOCATION_DELAY } from '@/features/team/keyLabels'
import { type AssignableRole, INVITATIONS, MEMBERS, ROLE_OPTIONS } from '@/features/team/members'
import { KEYS_QUERY_KEY } from '@/features/team/useKeys'

type Asking = (question: KeysQuestion) => void

// Refreshed after a role change, because keys and invitations of the member may end with it.
const PEOPLE = [MEMBERS, KEYS_QUERY_KEY, INVITATIONS]

export function MemberTable({ members }: { members: Member[] }) {
  const { userId } = usePermissions()
  const [removing, setRemoving] = useState<Member>()
  const [question, setQuestion] = useState<KeysQuestion>()
  const isFixed = (one: Member) => one.user_id === userId || one.member_role === 'owner'
  const columns: Column<Member>[] = [
    {
      title: 'Name',
      cell: (one) => <Person name={one.display_name} detail={one.email_address} isYou={one.user_id === userId} />,
    },
    {
      title: 'Role',
      isShort: true,
      cell: (one) => (isFixed(one) ? <RoleBadge member={one} /> : <RoleChoice member={one} ask={setQuestion} />),
    },
    { title: 'Since', isShort: true, cell: (one) => <Ago time={one.joined_at} /> },
    {
      title: 'Actions',
      isLast: true,
      cell: (one) => !isFixed(one) && <RemoveButton member={one} onClick={() => setRemoving(one)} />,
    },
  ]
  return (
    <>
      <FirstRows rows={members}>
        {(rows) => <DataTable label="Members" columns={columns} rows={rows} keyOf={(one) => one.user_id} />}
      </FirstRows>
      <RemoveDialog member={removing} ask={setQuestion} onClose={() => setRemoving(undefined)} />
      <CreatorKeysDialog question={question} onClose={() => setQuestion(undefined)} />
    </>
  )
}

function RoleBadge({ member }: { member: Member }) {
  return (
    <Badge variant="default" tt="none" size="lg">
      {member.member_role}
    </Badge>
  )
}

function RemoveButton({ member, onClick }: { member: Member; onClick: () => void }) {
  return <RowButton verb="Remove" label={`Remove ${member.display_name}`} onClick={onClick} />
}

interface RoleChange {
  role: AssignableRole
  /** The role for undo, because the member already has the new role when the notice is shown. */
  before: AssignableRole
  keys?: KeysChoice
}

function RoleChoice({ member, ask }: { member: Member; ask: Asking }) {
  const cache = useQueryClient()
  const now = member.member_role as AssignableRole
  const set = async ({ role: member_role, keys = {} }: Omit<RoleChange, 'before'>) => {
    const params = { path: { user_id: member.user_id }, query: keys }
    try {
      await unwrap(api.PUT('/api/v1/members/{user_id}', { params, body: { member_role } }))
    } finally {
      await Promise.all(PEOPLE.map((queryKey) => cache.invalidateQueries({ queryKey })))
    }
  }
  const change = useMutation({
    mutationFn: (change: RoleChange) => set(change),
    onSuccess: (_, { role, before, keys = {} }) => {
      notifyWithUndo(`${member.display_name} is now: ${role}.`, () => set({ role: before }))
      notifyToRotate(keys)
    },
    onError: (error, { role, before }) => {
      const problem = getKeysProblem(error)
      if (!problem) return notifyError(error)
      ask({ creatorId: member.user_id, problem, resume: (keys) => change.mutate({ role, before, keys }) })
    },
  })
  return (
    <NativeSelect
      aria-label={`Role of ${member.display_name}`}
      size="xs"
      miw={110}
      maw={160}
      data={ROLE_OPTIONS}
      disabled={change.isPending}
      value={change.isPending ? change.variables.role : now}
      onChange={(event) => change.mutate({ role: event.currentTarget.value as AssignableRole, before: now })}
    />
  )
}

interface RemovalProps {
  member: Member | undefined
  ask: Asking
  onClose: () => void
}

function RemoveDialog({ member, ask, onClose }: RemovalProps) {
  const cache = useQueryClient()
  const remove = useMutation({
    mutationFn: ({ one, keys = {} }: { one: Member; keys?: KeysChoice }) =>
      unwrap(api.DELETE('/api/v1/members/{user_id}', { params: { path: { user_id: one.user_id }, query: keys } })),
    onSuccess: (_, { one, keys = {} }) => {
      notify(`${one.display_name} is no longer in the team.`)
      notifyToRotate(keys)
    },
    onError: (error, { one }) => {
      const problem = getKeysProblem(error)
      if (!problem) return notifyError(error)
      ask({ creatorId: one.user_id, problem, resume: (keys) => remove.mutate({ one, keys }) })
    },
    onSettled: async () => {
      onClose()
      await Promise.all(PEOPLE.map((queryKey) => cache.invalidateQueries({ queryKey })))
    },
  })
  return (
    <Confirm
      title="Remove from the team?"
      verb="Remove"
      isOpen={member !== undefined}
      isBusy={remove.isPending}
      onConfirm={() => member && remove.mutate({ one: member })}
      onClose={onClose}
    >
      <bdi>{member?.display_name}</bdi> loses all access within {REVOCATION_DELAY}. The keys of the devices and machines
      that they paired end too. Open invitations that they made are withdrawn. Models that they registered stay. To come
      back they need a new invitation.
    </Confirm>
  )
}
