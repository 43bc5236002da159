// The list of models as a table. Only rows near the viewport are rendered; two spacers replace the others.

import { UnstyledButton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { useRef } from 'react'
import { ModelRow, type RowKind } from '@/features/models/ModelRow'
import classes from '@/features/models/models.module.css'
import { useChangeSearch, useModelSearch } from '@/features/models/useModelSearch'
import { type ModelListProps, useVisibleRows } from '@/features/models/useVisibleRows'

const HEIGHT = 60
const NARROW_HEIGHT = 84
const NARROW = '(max-width: 48em)'

export function ModelTable({ kind, ...list }: ModelListProps & { kind: RowKind }) {
  const body = useRef<HTMLTableSectionElement>(null)
  const isNarrow = useMediaQuery(NARROW, window.matchMedia(NARROW).matches, { getInitialValueInEffect: false })
  const { items, before, after } = useVisibleRows(body, {
    count: list.rows.length,
    height: isNarrow ? NARROW_HEIGHT : HEIGHT,
    hasMore: list.hasMore,
    onMore: list.onMore,
  })
  return (
    <table className={classes.table} aria-rowcount={list.total === undefined ? -1 : list.total + 1}>
      <caption style={{ position: 'absolute', clipPath: 'inset(50%)', width: 1, height: 1, overflow: 'hidden' }}>
        {kind === 'trash' ? 'Deleted models' : 'Models'}
      </caption>
      <TableHead kind={kind} {...list} />
      <tbody ref={body} aria-hidden="true">
        <Spacer height={before} />
      </tbody>
      <tbody>
        {items.map(({ index }) => {
          const model = list.rows[index]
          if (!model) return null
          return (
            <ModelRow
              key={model.id}
              kind={kind}
              model={model}
              place={index + 2}
              hasMarks={list.hasMarks}
              mayMark={list.mayMark(model)}
              isMarked={list.selection.has(model.id)}
              isOpen={model.id === list.openId}
              onMark={list.selection.toggle}
              onOpen={list.onOpen}
            />
          )
        })}
      </tbody>
      <tbody aria-hidden="true">
        <Spacer height={after} />
      </tbody>
    </table>
  )
}

function Spacer({ height }: { height: number }) {
  return (
    <tr className={classes.spacer}>
      <td style={{ height }} />
    </tr>
  )
}

function TableHead({ kind, rows, selection, mayMark, hasMarks }: ModelListProps & { kind: RowKind }) {
  const markable = rows.filter(mayMark).length
  const marked = selection.models.length
  return (
    <thead>
      <tr aria-rowindex={1}>
        {hasMarks && (
          <th scope="col" className={classes.mark}>
            <input
              type="checkbox"
              className={classes.box}
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
        <SortHeader by="display_name">Name</SortHeader>
        <th scope="col" className={classes.type}>
          Type
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
      <th scope="col" className={classes.state}>
        State
      </th>
      <th scope="col" className={classes.reach}>
        Machines
      </th>
      <th scope="col" className={classes.tagged}>
        Tags
      </th>
      <th scope="col" className={classes.changed}>
        Changed
      </th>
    </>
  )
}

function TrashHeaders() {
  return (
    <>
      <th scope="col" className={classes.changed}>
        Deleted
      </th>
      <th scope="col" className={classes.until}>
        Restorable until
      </th>
      <th scope="col" className={classes.act}>
        <span className={classes.calm}>Restore</span>
      </th>
    </>
  )
}

interface SortHeaderProps {
  by: 'display_name' | 'file_size'
  className?: string | undefined
  children: string
}

function SortHeader({ by, className, children }: SortHeaderProps) {
  const { sort } = useModelSearch()
  const go = useChangeSearch()
  const isUp = sort === by
  const isDown = sort === `-${by}`
  const next = isUp ? `-${by}` : isDown ? undefined : by
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
