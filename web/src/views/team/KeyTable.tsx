// Keys in a table: recognised by their first letters, ended for good by a button.

import { Badge, Button, Code, Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Credential } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { Confirm } from '@/parts/Confirm'
import { FirstRows } from '@/parts/FirstRows'
import { type Column, Listing } from '@/parts/Listing'
import { failed, said } from '@/parts/notify'
import { day } from '@/parts/words'
import { ENDING, KINDS } from '@/views/team/keyWords'
import { useMembers } from '@/views/team/people'
import { KEYS } from '@/views/team/useKeys'

const COLOURS = { active: 'teal', expired: 'gray', revoked: 'red' }

export function KeyTable({ keys }: { keys: Credential[] }) {
  const [ending, setEnding] = useState<Credential>()
  const columns: Column<Credential>[] = [
    { title: 'Name', cell: (key) => <Name of={key} /> },
    { title: 'Kind', isShort: true, cell: (key) => KINDS[key.kind] },
    { title: 'By', cell: (key) => <Maker userId={key.user_id} /> },
    { title: 'Access', isShort: true, cell: (key) => (key.kind === 'agent' ? 'what machines need' : key.access) },
    { title: 'State', isShort: true, cell: (key) => <State of={key} /> },
    { title: 'Used', isShort: true, cell: (key) => (key.last_used_at ? <Ago time={key.last_used_at} /> : 'never') },
    { title: 'Ends', isShort: true, cell: (key) => (key.expires_at ? day(key.expires_at) : 'never') },
    {
      title: 'Actions',
      isLast: true,
      cell: (key) => key.key_status === 'active' && <RevokeButton of={key} onClick={() => setEnding(key)} />,
    },
  ]
  return (
    <>
      <FirstRows rows={keys}>
        {(rows) => <Listing label="Keys" columns={columns} rows={rows} keyOf={(key) => key.id} />}
      </FirstRows>
      <Revocation of={ending} onClose={() => setEnding(undefined)} />
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
    <Badge variant="dot" color={COLOURS[key.key_status]} tt="none">
      {key.key_status}
    </Badge>
  )
}

function RevokeButton({ of: key, onClick }: { of: Credential; onClick: () => void }) {
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      color="gray"
      aria-label={`Revoke ${key.display_name} (${key.key_prefix})`}
      onClick={onClick}
    >
      Revoke
    </Button>
  )
}

function Maker({ userId }: { userId: string | null }) {
  const me = usePermissions().userId
  const members = useMembers()
  if (userId === me) return 'you'
  const found = members.data?.find((one) => one.user_id === userId)
  return found ? <bdi>{found.display_name}</bdi> : <Text c="dimmed">{members.data ? 'somebody who left' : ''}</Text>
}

function Revocation({ of: key, onClose }: { of: Credential | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const revoke = useMutation({
    mutationFn: (one: Credential) =>
      answered(api.DELETE('/api/v1/credentials/{credential_id}', { params: { path: { credential_id: one.id } } })),
    onSuccess: (_, one) => said(`“${one.display_name}” is revoked.`),
    onError: failed,
    onSettled: async () => {
      onClose()
      await cache.invalidateQueries({ queryKey: KEYS })
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
      “<bdi>{key?.display_name}</bdi>” ({key?.key_prefix}…) ends for good. {key && ENDING[key.kind]}
    </Confirm>
  )
}
