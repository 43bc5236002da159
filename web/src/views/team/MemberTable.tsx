// The members, with what an admin may do to each: another role, or out.

import { Badge, Button, NativeSelect } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Member } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { Confirm } from '@/parts/Confirm'
import { FirstRows } from '@/parts/FirstRows'
import { type Column, Listing } from '@/parts/Listing'
import { done, failed, said } from '@/parts/notify'
import { Person } from '@/parts/Person'
import { type AssignableRole, MEMBERS, ROLES } from '@/views/team/people'

export function MemberTable({ members }: { members: Member[] }) {
  const { userId } = usePermissions()
  const [leaving, setLeaving] = useState<Member>()
  const isFixed = (one: Member) => one.user_id === userId || one.member_role === 'owner'
  const columns: Column<Member>[] = [
    {
      title: 'Name',
      cell: (one) => <Person name={one.display_name} detail={one.email_address} isYou={one.user_id === userId} />,
    },
    {
      title: 'Role',
      isShort: true,
      cell: (one) => (isFixed(one) ? <RoleBadge member={one} /> : <RoleChoice member={one} />),
    },
    { title: 'Since', isShort: true, cell: (one) => <Ago time={one.joined_at} /> },
    {
      title: 'Actions',
      isLast: true,
      cell: (one) => !isFixed(one) && <RemoveButton member={one} onClick={() => setLeaving(one)} />,
    },
  ]
  return (
    <>
      <FirstRows rows={members}>
        {(rows) => <Listing label="Members" columns={columns} rows={rows} keyOf={(one) => one.user_id} />}
      </FirstRows>
      <Removal member={leaving} onClose={() => setLeaving(undefined)} />
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
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      color="gray"
      aria-label={`Remove ${member.display_name}`}
      onClick={onClick}
    >
      Remove
    </Button>
  )
}

function RoleChoice({ member }: { member: Member }) {
  const cache = useQueryClient()
  const before = member.member_role as AssignableRole
  const set = async (member_role: AssignableRole) => {
    const params = { path: { user_id: member.user_id } }
    try {
      await answered(api.PUT('/api/v1/members/{user_id}', { params, body: { member_role } }))
    } finally {
      await cache.invalidateQueries({ queryKey: MEMBERS })
    }
  }
  const change = useMutation({
    mutationFn: set,
    onSuccess: (_, role) => done(`${member.display_name} is now: ${role}.`, () => set(before)),
    onError: failed,
  })
  return (
    <NativeSelect
      aria-label={`Role of ${member.display_name}`}
      size="xs"
      miw={110}
      maw={160}
      data={ROLES}
      disabled={change.isPending}
      value={change.isPending ? change.variables : before}
      onChange={(event) => change.mutate(event.currentTarget.value as AssignableRole)}
    />
  )
}

function Removal({ member, onClose }: { member: Member | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const remove = useMutation({
    mutationFn: (one: Member) =>
      answered(api.DELETE('/api/v1/members/{user_id}', { params: { path: { user_id: one.user_id } } })),
    onSuccess: (_, one) => said(`${one.display_name} is no longer in the team.`),
    onError: failed,
    onSettled: async () => {
      onClose()
      await cache.invalidateQueries({ queryKey: MEMBERS })
    },
  })
  return (
    <Confirm
      title="Remove from the team?"
      verb="Remove"
      isOpen={member !== undefined}
      isBusy={remove.isPending}
      onConfirm={() => member && remove.mutate(member)}
      onClose={onClose}
    >
      <bdi>{member?.display_name}</bdi> loses all access within five seconds. Their device keys end too, and with them
      the keys of the machines that they paired. Models that they registered stay. To come back they need a new
      invitation.
    </Confirm>
  )
}
