// What programs, machines and one's own devices sign in with.

import { Button, Group, SegmentedControl, Switch } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { getRouteApi } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { Credential } from '@/api/types'
import { Heading } from '@/parts/Heading'
import { Empty, Failed, Loading, MayBeOld } from '@/parts/states'
import { KeyTable } from '@/views/team/KeyTable'
import { NewKey } from '@/views/team/NewKey'
import { useKeys } from '@/views/team/useKeys'

const route = getRouteApi('/inside/team/keys')

const FILTERS = [
  { value: '', label: 'All' },
  { value: 'integration', label: 'Integrations' },
  { value: 'agent', label: 'Agents' },
  { value: 'device', label: 'Devices' },
]

export function Keys() {
  const { may } = usePermissions()
  const [isMaking, { open, close }] = useDisclosure(false)
  const isAdmin = may('make keys')
  return (
    <>
      <Heading title={isAdmin ? 'Keys' : 'Keys of your devices'}>
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
      {may('make keys') && (
        <SegmentedControl
          aria-label="Kind"
          data={FILTERS}
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
  const keys = useKeys(may('make keys') ? kind : undefined)
  const again = () => void keys.refetch()
  if (keys.isError && !keys.data) return <Failed error={keys.error} again={again} />
  if (!keys.data) return <Loading what="Loading the keys" />
  const shown = keys.data.filter((key) => all || key.key_status === 'active')
  return (
    <>
      {keys.isError && <MayBeOld error={keys.error} again={again} />}
      {shown.length ? <KeyTable keys={shown} /> : <NoKeys />}
    </>
  )
}

function NoKeys() {
  const { may } = usePermissions()
  return (
    <Empty title="No keys">
      {may('make keys')
        ? 'A program takes an integration key, a machine an agent key. Devices bring theirs when they are paired.'
        : 'A device that you pair (modelyard pair) gets a key of its own, and it is listed here.'}
    </Empty>
  )
}
