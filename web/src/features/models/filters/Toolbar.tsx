// What stays at the top of the list: search, order and view; on narrow screens a button for the filters.

import { Button, NativeSelect, SegmentedControl, VisuallyHidden } from '@mantine/core'
import { IconArrowsSort, IconFilter, IconLayoutGrid, IconList, type TablerIcon } from '@tabler/icons-react'
import { ChipLine } from '@/features/models/filters/Chips'
import { SearchBox } from '@/features/models/filters/SearchBox'
import { splitSearch } from '@/features/models/filters/searchText'
import classes from '@/features/models/filters/toolbar.module.css'
import { getDefaultOrder, type Order } from '@/features/models/search'
import { useChangeSearch, useModelSearch } from '@/features/models/useModelSearch'

// In the order in which people see them.
const SORT_LABELS: Record<Order, string> = {
  best: 'Best match',
  '-created_at': 'Newest',
  created_at: 'Oldest',
  display_name: 'Name, A to Z',
  '-display_name': 'Name, Z to A',
  '-file_size': 'Largest',
  file_size: 'Smallest',
  '-last_used_at': 'Recently used',
  last_used_at: 'Least recently used',
}
const SORT_OPTIONS = Object.entries(SORT_LABELS).map(([value, label]) => ({ value, label }))

interface ToolbarProps {
  /** What the registry says of a search that it does not understand. */
  error: string | undefined
  onFilters: () => void
}

export function Toolbar({ error, onFilters }: ToolbarProps) {
  const search = useModelSearch()
  const go = useChangeSearch()
  const q = search.q ?? ''
  const defaultOrder = getDefaultOrder(search)
  const filterCount = splitSearch(q).filter(({ key, values }) => key !== '' && values.length > 0).length
  return (
    <div className={classes.toolbar}>
      <SearchBox q={q} isTrash={search.trash ?? false} error={error} onSearch={(text) => go({ q: text }, false)} />
      <div className={classes.narrow}>
        <Button
          variant="default"
          size="compact-sm"
          leftSection={<IconFilter size={14} aria-hidden />}
          aria-haspopup="dialog"
          onClick={onFilters}
        >
          {filterCount ? `Filter (${filterCount})` : 'Filter'}
        </Button>
        <ChipLine q={q} onSearch={(text) => go({ q: text })} />
      </div>
      <div className={classes.choices}>
        <NativeSelect
          aria-label="Sort"
          leftSection={<IconArrowsSort size={14} aria-hidden />}
          data={SORT_OPTIONS.filter(({ value }) => value !== 'best' || defaultOrder === 'best')}
          value={search.sort ?? defaultOrder}
          onChange={(event) => go({ sort: event.currentTarget.value })}
        />
        {!search.trash && (
          <SegmentedControl
            aria-label="Show as"
            value={search.view ?? 'gallery'}
            onChange={(chosen) => go({ view: chosen })}
            data={[
              { value: 'gallery', label: <ViewLabel icon={IconLayoutGrid} word="Gallery" /> },
              { value: 'table', label: <ViewLabel icon={IconList} word="Table" /> },
            ]}
          />
        )}
      </div>
    </div>
  )
}

function ViewLabel({ icon: Icon, word }: { icon: TablerIcon; word: string }) {
  return (
    <>
      <Icon size={16} stroke={1.75} style={{ display: 'block' }} aria-hidden />
      <VisuallyHidden>{word}</VisuallyHidden>
    </>
  )
}
