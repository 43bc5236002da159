// The open invitations: who may come in, as what, until when.

import { Button, Stack, Text, Title } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { answered, api } from '@/api/client'
import type { Invitation } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { Confirm } from '@/parts/Confirm'
import { FirstRows } from '@/parts/FirstRows'
import { type Column, Listing } from '@/parts/Listing'
import { failed, said } from '@/parts/notify'
import { Failed, Loading, MayBeOld } from '@/parts/states'
import { day } from '@/parts/words'
import { INVITATIONS, useInvitations } from '@/views/team/people'

export function Invitations() {
  const open = useInvitations()
  const [ending, setEnding] = useState<Invitation>()
  const again = () => void open.refetch()
  if (open.isError && !open.data) return <Failed error={open.error} again={again} />
  if (!open.data) return <Loading what="Loading the invitations" />
  const columns: Column<Invitation>[] = [
    { title: 'E-mail', cell: (one) => <bdi>{one.email_address}</bdi> },
    { title: 'Role', isShort: true, cell: (one) => one.invitation_role },
    { title: 'Invited', isShort: true, cell: (one) => <Ago time={one.created_at} /> },
    { title: 'Until', isShort: true, cell: (one) => day(one.expires_at) },
    {
      title: 'Actions',
      isLast: true,
      cell: (one) => (
        <Button
          size="compact-sm"
          variant="subtle"
          color="gray"
          aria-label={`Withdraw the invitation of ${one.email_address}`}
          onClick={() => setEnding(one)}
        >
          Withdraw
        </Button>
      ),
    },
  ]
  return (
    <Stack component="section" aria-label="Open invitations" gap="sm">
      <Title order={2} size="h4">
        Open invitations
      </Title>
      {open.isError && <MayBeOld error={open.error} again={again} />}
      {open.data.length === 0 && <Text c="dimmed">There are none.</Text>}
      {open.data.length > 0 && (
        <FirstRows rows={open.data}>
          {(rows) => <Listing label="Open invitations" columns={columns} rows={rows} keyOf={(one) => one.id} />}
        </FirstRows>
      )}
      <Withdrawal invitation={ending} onClose={() => setEnding(undefined)} />
    </Stack>
  )
}

function Withdrawal({ invitation, onClose }: { invitation: Invitation | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const withdraw = useMutation({
    mutationFn: (one: Invitation) =>
      answered(api.DELETE('/api/v1/invitations/{invitation_id}', { params: { path: { invitation_id: one.id } } })),
    onSuccess: (_, one) => said(`The invitation of ${one.email_address} is withdrawn.`),
    onError: failed,
    onSettled: async () => {
      onClose()
      await cache.invalidateQueries({ queryKey: INVITATIONS })
    },
  })
  return (
    <Confirm
      title="Withdraw the invitation?"
      verb="Withdraw"
      isOpen={invitation !== undefined}
      isBusy={withdraw.isPending}
      onConfirm={() => invitation && withdraw.mutate(invitation)}
      onClose={onClose}
    >
      The link of <bdi>{invitation?.email_address}</bdi> stops working at once. You can invite them again.
    </Confirm>
  )
}
