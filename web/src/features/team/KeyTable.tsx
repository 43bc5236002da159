// The table of keys, with their prefixes and buttons to rotate and revoke.

import { Badge, Code, Group, Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Credential } from '@/api/types'
import { Ago } from '@/components/Ago'
import { Confirm } from '@/components/Confirm'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { formatDay } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { RowButton } from '@/components/RowButton'
import { KIND_LABELS, REVOKE_EFFECTS } from '@/features/team/keyLabels'
import { useMembers } from '@/features/team/members'
import { RotateKey } from '@/features/team/RotateKey'
import { isUsable, KEYS_QUERY_KEY } from '@/features/team/useKeys'

const COLOURS = { active: 'teal', expired: 'gray', revoked: 'red', stopped: 'orange' }

export function KeyTable({ keys }: { keys: Credential[] }) {
  const { may } = usePermissions()
  const [revoking, setRevoking] = useState<Credential>()
  const [rotating, setRotating] = useState<Credential>()
  const columns: Column<Credential>[] = [
    { title: 'Name', cell: (key) => <Name of={key} /> },
    { title: 'Kind', isShort: true, cell: (key) => KIND_LABELS[key.kind] },
    { title: 'By', cell: (key) => <Creator userId={key.user_id} /> },
    { title: 'Access', isShort: true, cell: (key) => (key.kind === 'agent' ? 'for machines' : key.access) },
    { title: 'State', isShort: true, cell: (key) => <State of={key} /> },
    { title: 'Used', isShort: true, cell: (key) => (key.last_used_at ? <Ago time={key.last_used_at} /> : 'never') },
    { title: 'Expires', isShort: true, cell: (key) => (key.expires_at ? formatDay(key.expires_at) : 'never') },
    {
      title: 'Actions',
      isLast: true,
      cell: (key) =>
        isUsable(key) && (
          <Group gap={4} wrap="nowrap" justify="flex-end">
            {may('credentials_rotate') && !key.is_paired && (
              <KeyButton verb="Rotate" of={key} onClick={() => setRotating(key)} />
            )}
            <KeyButton verb="Revoke" of={key} onClick={() => setRevoking(key)} />
          </Group>
        ),
    },
  ]
  return (
    <>
      <FirstRows rows={keys}>
        {(rows) => <DataTable label="Keys" columns={columns} rows={rows} keyOf={(key) => key.id} />}
      </FirstRows>
      <RotateKey of={rotating} onClose={() => setRotating(undefined)} />
      <RevokeDialog of={revoking} onClose={() => setRevoking(undefined)} />
    </>
  )
}

function Name({ of: key }: { of: Credential }) {
  return (
    <>
      <Text size="sm" fw={500} component="div">
        <bdi>{key.display_name}</bdi>
      </Text>
      <Code>{key.key_prefix}…</Code>
    </>
  )
}

function State({ of: key }: { of: Credential }) {
  return (
    <>
      <Badge variant="dot" color={COLOURS[key.key_status]} tt="none">
        {key.key_status}
      </Badge>
      {key.key_status === 'stopped' && (
        <Text size="xs" c="dimmed">
          the person responsible is no longer an admin
        </Text>
      )}
      {key.previous_key_until && (
        <Text size="xs" c="dimmed">
          old secret until {formatDay(key.previous_key_until)}
        </Text>
      )}
    </>
  )
}

interface ButtonProps {
  verb: 'Rotate' | 'Revoke'
  of: Credential
  onClick: () => void
}

function KeyButton({ verb, of: key, onClick }: ButtonProps) {
  return <RowButton verb={verb} label={`${verb} ${key.display_name} (${key.key_prefix})`} onClick={onClick} />
}

function Creator({ userId }: { userId: string | null }) {
  const me = usePermissions().userId
  const members = useMembers()
  if (userId === me) return 'you'
  const found = members.data?.find((one) => one.user_id === userId)
  return found ? <bdi>{found.display_name}</bdi> : <Text c="dimmed">{members.data ? 'former member' : ''}</Text>
}

function RevokeDialog({ of: key, onClose }: { of: Credential | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const revoke = useMutation({
    mutationFn: (one: Credential) =>
      unwrap(api.DELETE('/api/v1/credentials/{credential_id}', { params: { path: { credential_id: one.id } } })),
    onSuccess: (_, one) => notify(`“${one.display_name}” is revoked.`),
    onError: notifyError,
    onSettled: async () => {
      onClose()
      await cache.invalidateQueries({ queryKey: KEYS_QUERY_KEY })
    },
  })
  return (
    <Confirm
      title="Revoke this key?"
      verb="Revoke"
      isOpen={key !== undefined}
      isBusy={revoke.isPending}
      onConfirm={() => key && revoke.mutate(key)}
      onClose={onClose}
    >
      “<bdi>{key?.display_name}</bdi>” ({key?.key_prefix}…) stops working permanently. {key && REVOKE_EFFECTS[key.kind]}
    </Confirm>
  )
}
