// The head of the table: selecting all, and the columns, of which some sort.

import { UnstyledButton } from '@mantine/core'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import type { ModelListProps } from '@/features/models/list/listProps'
import type { RowKind } from '@/features/models/list/ModelRow'
import classes from '@/features/models/list/table.module.css'
import boxes from '@/features/models/models.module.css'
import { getDefaultOrder, type ModelSearch } from '@/features/models/search'
import { useChangeSearch, useModelSearch } from '@/features/models/useModelSearch'

export function TableHead({ kind, rows, selection, mayMark, hasMarks }: ModelListProps & { kind: RowKind }) {
  const markable = rows.filter(mayMark).length
  const marked = selection.models.length
  return (
    <thead>
      <tr aria-rowindex={1}>
        {hasMarks && (
          <th scope="col" className={classes.mark}>
            <input
              type="checkbox"
              className={boxes.box}
              aria-label="Select all loaded models"
              disabled={markable === 0}
              checked={marked > 0 && marked === markable}
              ref={(box) => {
                if (box) box.indeterminate = marked > 0 && marked < markable
              }}
              onChange={(event) => selection.all(event.currentTarget.checked)}
            />
          </th>
        )}
        <SortHeader by="display_name" className={classes.first}>
          Name
        </SortHeader>
        <th scope="col" className={classes.type}>
          Type
        </th>
        <th scope="col" className={classes.base}>
          Base model
        </th>
        <SortHeader by="file_size" className={classes.size}>
          Size
        </SortHeader>
        {kind === 'trash' ? <TrashHeaders /> : <ActiveHeaders />}
      </tr>
    </thead>
  )
}

function ActiveHeaders() {
  return (
    <>
      <th scope="col" className={classes.reach}>
        Machines
      </th>
      <th scope="col" className={classes.by}>
        Added by
      </th>
      <SortHeader by="created_at" className={classes.added}>
        Added
      </SortHeader>
    </>
  )
}

function TrashHeaders() {
  return (
    <>
      <th scope="col" className={classes.added}>
        Deleted
      </th>
      <th scope="col" className={classes.until}>
        Restorable until
      </th>
      <th scope="col" className={classes.act}>
        Restore
      </th>
    </>
  )
}

type SortColumn = 'display_name' | 'file_size' | 'created_at'

const FIRST_ORDER: Record<SortColumn, NonNullable<ModelSearch['sort']>> = {
  display_name: 'display_name',
  file_size: 'file_size',
  created_at: '-created_at',
}

function SortHeader({ by, className, children }: { by: SortColumn; className?: string | undefined; children: string }) {
  const search = useModelSearch()
  const { sort = getDefaultOrder(search) } = search
  const go = useChangeSearch()
  const isUp = sort === by
  const isDown = sort === `-${by}`
  const next = isUp ? `-${by}` : isDown ? by : FIRST_ORDER[by]
  return (
    <th scope="col" className={className} aria-sort={isUp ? 'ascending' : isDown ? 'descending' : 'none'}>
      <UnstyledButton className={classes.sort} onClick={() => go({ sort: next })}>
        {children}
        {isUp && <IconArrowUp size={14} aria-hidden />}
        {isDown && <IconArrowDown size={14} aria-hidden />}
      </UnstyledButton>
    </th>
  )
}
