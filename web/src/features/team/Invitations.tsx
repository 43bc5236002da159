// The open invitations with role and expiry.

import { Stack, Text, Title } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import type { Invitation } from '@/api/types'
import { Ago } from '@/components/Ago'
import { Confirm } from '@/components/Confirm'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { formatDay } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { RowButton } from '@/components/RowButton'
import { INVITATIONS, useInvitations } from '@/features/team/members'

export function Invitations() {
  const open = useInvitations()
  const [withdrawing, setWithdrawing] = useState<Invitation>()
  const again = () => void open.refetch()
  if (open.isError && !open.data) return <LoadError error={open.error} onRetry={again} />
  if (!open.data) return <Loading label="Loading the invitations" />
  const columns: Column<Invitation>[] = [
    { title: 'E-mail', cell: (one) => <bdi>{one.email_address}</bdi> },
    { title: 'Role', isShort: true, cell: (one) => one.invitation_role },
    { title: 'Invited by', cell: (one) => <bdi>{one.invited_by.display_name}</bdi> },
    { title: 'Invited', isShort: true, cell: (one) => <Ago time={one.created_at} /> },
    { title: 'Until', isShort: true, cell: (one) => formatDay(one.expires_at) },
    {
      title: 'Actions',
      isLast: true,
      cell: (one) => (
        <RowButton
          verb="Withdraw"
          label={`Withdraw the invitation of ${one.email_address}`}
          onClick={() => setWithdrawing(one)}
        />
      ),
    },
  ]
  return (
    <Stack component="section" aria-label="Open invitations" gap="sm">
      <Title order={2} size="h4">
        Open invitations
      </Title>
      {open.isError && <StaleDataNotice error={open.error} onRetry={again} />}
      {open.data.length === 0 && <Text c="dimmed">No open invitations.</Text>}
      {open.data.length > 0 && (
        <FirstRows rows={open.data}>
          {(rows) => <DataTable label="Open invitations" columns={columns} rows={rows} keyOf={(one) => one.id} />}
        </FirstRows>
      )}
      <WithdrawDialog invitation={withdrawing} onClose={() => setWithdrawing(undefined)} />
    </Stack>
  )
}

function WithdrawDialog({ invitation, onClose }: { invitation: Invitation | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const withdraw = useMutation({
    mutationFn: (one: Invitation) =>
      unwrap(api.DELETE('/api/v1/invitations/{invitation_id}', { params: { path: { invitation_id: one.id } } })),
    onSuccess: (_, one) => notify(`The invitation of ${one.email_address} is withdrawn.`),
    onError: notifyError,
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
