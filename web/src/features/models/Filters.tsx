// Filters, order and view of the list. All of them are in the address.

import { Button, Group, NativeSelect, SegmentedControl, Switch, TextInput, VisuallyHidden } from '@mantine/core'
import { IconAdjustmentsHorizontal, IconLayoutGrid, IconList } from '@tabler/icons-react'
import { useEffect, useId, useMemo, useState } from 'react'
import type { Model } from '@/api/types'
import { MODEL_STATUS_MARKS, VERIFICATION_MARKS } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import { SearchBox } from '@/features/models/SearchBox'
import { FILTERS, type ModelSearch } from '@/features/models/search'
import { type ChangeSearch, useChangeSearch, useModelSearch } from '@/features/models/useModelSearch'
import { MAX_TAG_LENGTH } from '@/generated/fieldLimits'
import { MODEL_TYPES } from '@/generated/modelTypes'
import { MODEL_STATUSES, VERIFICATIONS } from '@/generated/states'

const MODEL_STATUS_OPTIONS = [
  { value: '', label: 'Any status' },
  ...MODEL_STATUSES.map((value) => ({ value, label: MODEL_STATUS_MARKS[value].word })),
]
const VERIFICATION_OPTIONS = [
  { value: '', label: 'Any verification' },
  ...VERIFICATIONS.map((value) => ({ value, label: VERIFICATION_MARKS[value].word })),
]
// In the order in which people see them.
const SORT_LABELS: Record<NonNullable<ModelSearch['sort']>, string> = {
  '-created_at': 'Newest first',
  created_at: 'Oldest first',
  display_name: 'Name, A to Z',
  '-display_name': 'Name, Z to A',
  '-file_size': 'Largest first',
  file_size: 'Smallest first',
}
const SORT_OPTIONS = Object.entries(SORT_LABELS).map(([value, label]) => ({ value, label }))
const MAX_SUGGESTIONS = 30

export function Filters({ rows }: { rows: Model[] }) {
  const search = useModelSearch()
  const go = useChangeSearch()
  const [isOpen, setOpen] = useState(false)
  const number = FILTERS.filter((name) => name !== 'q' && search[name] !== undefined).length
  return (
    <search aria-label="Models">
      <Group gap="xs" wrap="nowrap" mb="xs">
        <div style={{ flex: 1, minWidth: 0 }}>
          <SearchBox q={search.q ?? ''} onSearch={(q) => go({ q }, false)} />
        </div>
        <Button
          variant="default"
          hiddenFrom="sm"
          leftSection={<IconAdjustmentsHorizontal size={16} aria-hidden />}
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          {number ? `Filters (${number})` : 'Filters'}
        </Button>
        {!search.trash && <ViewSwitch view={search.view ?? 'table'} go={go} />}
      </Group>
      <div className={classes.filters} {...(!isOpen && { 'data-closed': true })}>
        <Choices rows={rows} go={go} />
        {FILTERS.some((name) => search[name] !== undefined) && (
          <Button
            variant="subtle"
            style={{ flex: '0 0 auto' }}
            onClick={() => go(Object.fromEntries(FILTERS.map((name) => [name, undefined])))}
          >
            Clear filters
          </Button>
        )}
      </div>
    </search>
  )
}

function Choices({ rows, go }: { rows: Model[]; go: ChangeSearch }) {
  const search = useModelSearch()
  const types = useMemo(() => typesFor(rows, search.model_type), [rows, search.model_type])
  return (
    <>
      <NativeSelect
        aria-label="Type"
        data={types}
        value={search.model_type ?? ''}
        onChange={(event) => go({ model_type: event.currentTarget.value })}
      />
      <NativeSelect
        aria-label="Status"
        data={MODEL_STATUS_OPTIONS}
        value={search.model_status ?? ''}
        onChange={(event) => go({ model_status: event.currentTarget.value })}
      />
      <NativeSelect
        aria-label="Verification"
        data={VERIFICATION_OPTIONS}
        value={search.verification ?? ''}
        onChange={(event) => go({ verification: event.currentTarget.value })}
      />
      <TagBox tag={search.tag ?? ''} rows={rows} onChoose={(tag) => go({ tag })} />
      <NativeSelect
        aria-label="Sort"
        data={SORT_OPTIONS}
        value={search.sort ?? '-created_at'}
        onChange={(event) => go({ sort: event.currentTarget.value })}
      />
      {!search.trash && (
        <Switch
          className={classes.missing ?? ''}
          styles={{ body: { alignItems: 'center', minHeight: 36 } }}
          label="Not on all machines"
          checked={search.missing ?? false}
          onChange={(event) => go({ missing: event.currentTarget.checked })}
        />
      )}
    </>
  )
}

/** Suggests the tags of what is loaded; any other can be typed. */
function TagBox({ tag, rows, onChoose }: { tag: string; rows: Model[]; onChoose: (tag: string) => void }) {
  const [typed, setTyped] = useState(tag)
  useEffect(() => setTyped(tag), [tag])
  const known = useMemo(() => [...new Set(rows.flatMap((model) => model.tags))].sort(), [rows])
  const choose = (chosen: string) => {
    if (chosen !== tag) onChoose(chosen)
  }
  const id = useId()
  return (
    <>
      <TextInput
        type="search"
        aria-label="Tag"
        placeholder="Any tag"
        list={id}
        maxLength={MAX_TAG_LENGTH}
        value={typed}
        onChange={(event) => {
          const text = event.currentTarget.value
          setTyped(text)
          // A known tag or an empty field applies at once; other text applies on Enter or blur.
          if (!text || known.includes(text)) choose(text)
        }}
        onBlur={() => choose(typed.trim())}
        onKeyDown={(event) => {
          if (event.key === 'Enter') choose(typed.trim())
        }}
      />
      <datalist id={id}>
        {known.slice(0, MAX_SUGGESTIONS).map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </>
  )
}

function ViewSwitch({ view, go }: { view: string; go: ChangeSearch }) {
  return (
    <SegmentedControl
      aria-label="Show as"
      visibleFrom="sm"
      value={view}
      onChange={(chosen) => go({ view: chosen })}
      data={[
        { value: 'table', label: <ViewLabel icon={IconList} word="Table" /> },
        { value: 'grid', label: <ViewLabel icon={IconLayoutGrid} word="Grid" /> },
      ]}
    />
  )
}

function ViewLabel({ icon: Icon, word }: { icon: typeof IconList; word: string }) {
  return (
    <>
      <Icon size={18} style={{ display: 'block' }} aria-hidden />
      <VisuallyHidden>{word}</VisuallyHidden>
    </>
  )
}

function typesFor(rows: Model[], chosen: string | undefined) {
  const others = new Set([...rows.map((model) => model.model_type), ...(chosen ? [chosen] : [])])
  for (const type of MODEL_TYPES) others.delete(type)
  return [
    { value: '', label: 'All types' },
    ...[...MODEL_TYPES, ...[...others].sort()].map((type) => ({ value: type, label: type })),
  ]
}
