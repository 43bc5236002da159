// Transfers ownership of the team.

import { Button, Group, NativeSelect, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { loadUser } from '@/api/session'
import type { Member } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { MEMBERS, useMembers } from '@/features/team/members'

export function TransferTeam() {
  const { userId } = usePermissions()
  const others = (useMembers().data ?? []).filter((one) => one.user_id !== userId)
  return (
    <Panel title="Owner">
      <Text>You own this team. Before you can leave it, transfer it to another member; you stay as an admin.</Text>
      {others.length ? <Transfer others={others} /> : <Text c="dimmed">There are no other members yet.</Text>}
    </Panel>
  )
}

function Transfer({ others }: { others: Member[] }) {
  const cache = useQueryClient()
  const [isOpen, { open, close }] = useDisclosure(false)
  const [newOwnerId, setNewOwnerId] = useState('')
  const newOwner = others.find((one) => one.user_id === newOwnerId)
  const transfer = useMutation({
    mutationFn: (new_owner_id: string) =>
      unwrap(api.POST('/api/v1/teams/current/transfer', { body: { new_owner_id } })),
    onSuccess: () => Promise.all([loadUser(), cache.invalidateQueries({ queryKey: MEMBERS })]),
    onError: notifyError,
    onSettled: close,
  })
  const choices = others.map((one) => ({ value: one.user_id, label: `${one.display_name} (${one.email_address})` }))
  return (
    <Group align="flex-end" gap="sm">
      <NativeSelect
        label="New owner"
        maw="100%"
        data={[{ value: '', label: 'Choose a member' }, ...choices]}
        value={newOwnerId}
        onChange={(event) => setNewOwnerId(event.currentTarget.value)}
      />
      <Button variant="default" disabled={!newOwner} onClick={open}>
        Transfer team
      </Button>
      <Confirm
        title="Transfer the team?"
        verb="Transfer team"
        isOpen={isOpen}
        isBusy={transfer.isPending}
        onConfirm={() => transfer.mutate(newOwnerId)}
        onClose={close}
      >
        <bdi>{newOwner?.display_name}</bdi> becomes the owner, and only they can transfer the team back. You become an
        admin.
      </Confirm>
    </Group>
  )
}
