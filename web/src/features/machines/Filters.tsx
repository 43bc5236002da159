// Filters for machines, or for models in the matrix. All filters are in the address.

import { Group, NativeSelect, Switch, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import type { Agent } from '@/api/types'
import { MACHINE_STATE_MARKS } from '@/components/MachineState'
import { type MachineSearch, machineSearch } from '@/features/machines/search'
import { MACHINE_STATES } from '@/generated/states'

const TYPING_MILLISECONDS = 200

interface FiltersProps {
  search: MachineSearch
  agents: Agent[]
}

export function Filters({ search, agents }: FiltersProps) {
  const change = useChangeSearch()
  const isMatrix = search.view === 'matrix'
  const labels = [
    ...new Set([...agents.flatMap((agent) => agent.agent_labels), ...(search.label ? [search.label] : [])]),
  ]
  return (
    <Group gap="sm" mb="sm" align="flex-end" role="search" aria-label="Filters">
      <SearchField
        value={search.q ?? ''}
        label={isMatrix ? 'Search models' : 'Search machines'}
        onChange={(q) => change({ q })}
      />
      <NativeSelect
        aria-label="Label"
        value={search.label ?? ''}
        onChange={(event) => change({ label: event.currentTarget.value })}
        data={[{ value: '', label: 'Any label' }, ...labels.sort()]}
        maw={180}
      />
      <NativeSelect
        aria-label="State"
        value={search.status ?? ''}
        onChange={(event) => change({ status: event.currentTarget.value })}
        data={[
          { value: '', label: 'Any state' },
          ...MACHINE_STATES.map((value) => ({ value, label: MACHINE_STATE_MARKS[value].label })),
        ]}
      />
      {isMatrix && (
        <Switch
          label="Not on all machines"
          checked={search.missing === true}
          onChange={(event) => change({ missing: event.currentTarget.checked })}
          mb={8}
        />
      )}
    </Group>
  )
}

function SearchField({ value, label, onChange }: { value: string; label: string; onChange: (text: string) => void }) {
  const [typed, setTyped] = useState(value)
  const lastText = useRef(value)
  const reportChange = useDebouncedCallback((text: string) => {
    lastText.current = text
    onChange(text)
  }, TYPING_MILLISECONDS)
  useEffect(() => {
    // The address was changed elsewhere, for example by the back button.
    if (value !== lastText.current) setTyped(value)
    lastText.current = value
  }, [value])
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={label}
      leftSection={<IconSearch size={16} aria-hidden />}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value)
        reportChange(event.currentTarget.value)
      }}
      flex="1 1 12rem"
      maw={320}
    />
  )
}

/** Return a function that changes search parameters in place; filters add no history entries. */
export function useChangeSearch(): (changed: Record<string, unknown>) => void {
  const navigate = useNavigate()
  return (changed) =>
    void navigate({
      to: '/machines',
      search: (before: object) => machineSearch({ ...before, ...changed }),
      replace: true,
      resetScroll: false,
    })
}
