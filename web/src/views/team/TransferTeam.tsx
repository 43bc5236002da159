// The owner makes somebody else the owner.

import { Button, Group, NativeSelect, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { learnWhoIAm } from '@/api/session'
import type { Member } from '@/api/types'
import { Confirm } from '@/parts/Confirm'
import { failed } from '@/parts/notify'
import { Panel } from '@/parts/Panel'
import { MEMBERS, useMembers } from '@/views/team/people'

export function TransferTeam() {
  const { userId } = usePermissions()
  const others = (useMembers().data ?? []).filter((one) => one.user_id !== userId)
  return (
    <Panel title="Owner">
      <Text>You own this team. Before you can leave it, hand it to another member; you stay as an admin.</Text>
      {others.length ? <Transfer others={others} /> : <Text c="dimmed">There is nobody else in the team yet.</Text>}
    </Panel>
  )
}

function Transfer({ others }: { others: Member[] }) {
  const cache = useQueryClient()
  const [isOpen, { open, close }] = useDisclosure(false)
  const [heirId, setHeirId] = useState('')
  const heir = others.find((one) => one.user_id === heirId)
  const transfer = useMutation({
    mutationFn: (new_owner_id: string) =>
      answered(api.POST('/api/v1/teams/current/transfer', { body: { new_owner_id } })),
    onSuccess: () => Promise.all([learnWhoIAm(), cache.invalidateQueries({ queryKey: MEMBERS })]),
    onError: failed,
    onSettled: close,
  })
  const choices = others.map((one) => ({ value: one.user_id, label: `${one.display_name} (${one.email_address})` }))
  return (
    <Group align="flex-end" gap="sm">
      <NativeSelect
        label="New owner"
        maw="100%"
        data={[{ value: '', label: 'Choose a member' }, ...choices]}
        value={heirId}
        onChange={(event) => setHeirId(event.currentTarget.value)}
      />
      <Button variant="default" disabled={!heir} onClick={open}>
        Hand over
      </Button>
      <Confirm
        title="Hand the team over?"
        verb="Hand over"
        isOpen={isOpen}
        isBusy={transfer.isPending}
        onConfirm={() => transfer.mutate(heirId)}
        onClose={close}
      >
        <bdi>{heir?.display_name}</bdi> owns the team from then on, and only they can hand it back. You become an admin.
      </Confirm>
    </Group>
  )
}
