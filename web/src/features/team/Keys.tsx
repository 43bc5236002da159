// The keys page: keys of programs, machines and the user's devices.

import { Button, Group, SegmentedControl, Switch } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { getRouteApi } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { Credential } from '@/api/types'
import { Heading } from '@/components/Heading'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { KeyTable } from '@/features/team/KeyTable'
import { KIND_LABELS } from '@/features/team/keyLabels'
import { NewKey } from '@/features/team/NewKey'
import { isUsable, useKeys } from '@/features/team/useKeys'
import { CREDENTIAL_KINDS } from '@/generated/states'

const route = getRouteApi('/inside/team/keys')

const KIND_OPTIONS = [
  { value: '', label: 'All' },
  ...CREDENTIAL_KINDS.map((value) => ({ value, label: `${KIND_LABELS[value]}s` })),
]

export function Keys() {
  const { may } = usePermissions()
  const [isMaking, { open, close }] = useDisclosure(false)
  const isAdmin = may('credentials_create')
  return (
    <>
      <Heading title={isAdmin ? 'Keys' : 'Your keys'}>
        {isAdmin && (
          <Button leftSection={<IconPlus size={18} aria-hidden />} onClick={open}>
            New key
          </Button>
        )}
      </Heading>
      <Filters />
      <Found />
      {isAdmin && <NewKey isOpen={isMaking} onClose={close} />}
    </>
  )
}

function Filters() {
  const { may } = usePermissions()
  const { kind, all } = route.useSearch()
  const navigate = route.useNavigate()
  const go = (next: { kind?: Credential['kind'] | undefined; all?: boolean }) =>
    void navigate({ search: (now) => ({ ...now, ...next }), replace: true })
  return (
    <Group mb="md" gap="md">
      {may('credentials_create') && (
        <SegmentedControl
          aria-label="Kind"
          data={KIND_OPTIONS}
          value={kind ?? ''}
          onChange={(value) => go({ kind: (value || undefined) as Credential['kind'] | undefined })}
        />
      )}
      <Switch
        label="Show expired and revoked"
        checked={all ?? false}
        onChange={(event) => go({ all: event.currentTarget.checked })}
      />
    </Group>
  )
}

function Found() {
  const { may } = usePermissions()
  const { kind, all } = route.useSearch()
  const keys = useKeys(may('credentials_create') ? kind : undefined)
  const again = () => void keys.refetch()
  if (keys.isError && !keys.data) return <LoadError error={keys.error} onRetry={again} />
  if (!keys.data) return <Loading label="Loading the keys" />
  const shown = keys.data.filter((key) => all || isUsable(key))
  return (
    <>
      {keys.isError && <StaleDataNotice error={keys.error} onRetry={again} />}
      {shown.length ? <KeyTable keys={shown} /> : <NoKeys />}
    </>
  )
}

function NoKeys() {
  const { may } = usePermissions()
  return (
    <Empty title="No keys">
      {may('credentials_create')
        ? 'Programs use integration keys, and machines use agent keys. Devices get their keys when they are paired.'
        : 'A machine that you pair (modelyard agent pair, modelyard login --device) gets its own key, which is listed here.'}
    </Empty>
  )
}
