// Which machines, or in the matrix which models, are shown. All of it is in the address.

import { Group, NativeSelect, Switch, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import type { Agent } from '@/api/types'
import { type MachineSearch, machineSearch, STATUSES } from '@/views/machines/search'

const TYPING_MILLISECONDS = 200

interface Asked {
  search: MachineSearch
  agents: Agent[]
}

export function Filters({ search, agents }: Asked) {
  const change = useChange()
  const isMatrix = search.view === 'matrix'
  const labels = [
    ...new Set([...agents.flatMap((agent) => agent.agent_labels), ...(search.label ? [search.label] : [])]),
  ]
  return (
    <Group gap="sm" mb="sm" align="flex-end" role="search" aria-label="Filters">
      <Words
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
        aria-label="Status"
        value={search.status ?? ''}
        onChange={(event) => change({ status: event.currentTarget.value })}
        data={[{ value: '', label: 'Any status' }, ...STATUSES]}
      />
      {isMatrix && (
        <Switch
          label="Not everywhere yet"
          checked={search.missing === true}
          onChange={(event) => change({ missing: event.currentTarget.checked })}
          mb={8}
        />
      )}
    </Group>
  )
}

function Words({ value, label, onChange }: { value: string; label: string; onChange: (text: string) => void }) {
  const [typed, setTyped] = useState(value)
  const told = useRef(value)
  const tell = useDebouncedCallback((text: string) => {
    told.current = text
    onChange(text)
  }, TYPING_MILLISECONDS)
  useEffect(() => {
    // The address was changed from elsewhere: the back button, say.
    if (value !== told.current) setTyped(value)
    told.current = value
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
        tell(event.currentTarget.value)
      }}
      flex="1 1 12rem"
      maw={320}
    />
  )
}

/** Change a part of the address, in place: filters are no steps for the back button. */
export function useChange(): (changed: Record<string, unknown>) => void {
  const navigate = useNavigate()
  return (changed) =>
    void navigate({
      to: '/machines',
      search: (before: object) => machineSearch({ ...before, ...changed }),
      replace: true,
      resetScroll: false,
    })
}
