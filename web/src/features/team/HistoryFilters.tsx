// Filters of the history: action, actor, dates and object.

import { Button, Group, NativeSelect, TextInput } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { DESCRIBERS } from '@/components/describeEvent'
import { useMembers } from '@/features/team/members'
import type { AuditSearch } from '@/features/team/search'

const route = getRouteApi('/inside/team/history')

const GROUPS: Record<string, string> = {
  model: 'Models',
  agent: 'Machines',
  device: 'Devices',
  credential: 'Keys',
  invitation: 'Invitations',
  member: 'Members',
  team: 'Team',
}

const ACTIONS = [
  { value: '', label: 'All events' },
  ...Object.entries(GROUPS).map(([object, group]) => ({ group, items: actionsOf(object) })),
]

/** `model.role_changed` as `role changed`: the group names the object. */
function actionsOf(object: string): { value: string; label: string }[] {
  return Object.keys(DESCRIBERS)
    .filter((action) => action.startsWith(`${object}.`))
    .map((value) => ({ value, label: value.replace('.', ' ').replaceAll('_', ' ') }))
}

export function HistoryFilters() {
  const asked = route.useSearch()
  const navigate = route.useNavigate()
  const go = (next: AuditSearch) => void navigate({ search: (now) => ({ ...now, ...next }) })
  const isFiltered = Object.keys(asked).length > 0
  return (
    <Group mb="md" gap="sm" align="flex-end" role="search" aria-label="History">
      <NativeSelect
        label="What"
        data={withUnknown(asked.action)}
        value={asked.action ?? ''}
        onChange={(event) => go({ action: event.currentTarget.value })}
      />
      <ActorFilter />
      <DateFilter name="since" label="From" />
      <DateFilter name="until" label="To" />
      {asked.object_id && (
        <TextInput
          label="About"
          readOnly
          value={asked.object_id}
          w={220}
          // The id of a model, person or machine, set by a link in a row.
        />
      )}
      {isFiltered && (
        <Button variant="default" onClick={() => void navigate({ search: {} })}>
          Clear filters
        </Button>
      )}
    </Group>
  )
}

function withUnknown(action: string | undefined) {
  return !action || action in DESCRIBERS ? ACTIONS : [...ACTIONS, { value: action, label: action }]
}

function ActorFilter() {
  const { actor_id } = route.useSearch()
  const navigate = route.useNavigate()
  const people = (useMembers().data ?? []).map((one) => ({ value: one.user_id, label: one.display_name }))
  const isKnown = !actor_id || people.some((one) => one.value === actor_id)
  const other = isKnown || !actor_id ? [] : [{ value: actor_id, label: 'A key or a former member' }]
  return (
    <NativeSelect
      label="Who"
      maw={220}
      data={[{ value: '', label: 'Everyone' }, ...people, ...other]}
      value={actor_id ?? ''}
      onChange={(event) => {
        const chosen = event.currentTarget.value
        void navigate({ search: (now) => ({ ...now, actor_id: chosen }) })
      }}
    />
  )
}

function DateFilter({ name, label }: { name: 'since' | 'until'; label: string }) {
  const asked = route.useSearch()
  const navigate = route.useNavigate()
  return (
    <TextInput
      type="date"
      label={label}
      value={asked[name] ?? ''}
      onChange={(event) => {
        const day = event.currentTarget.value
        void navigate({ search: (now) => ({ ...now, [name]: day }), replace: true })
      }}
    />
  )
}
