// The list of models as a table. Only rows near the viewport are rendered; spacers replace the others.

import { useMediaQuery } from '@mantine/hooks'
import { Fragment, useRef } from 'react'
import type { ModelListProps } from '@/features/models/list/listProps'
import { ModelRow, type RowKind } from '@/features/models/list/ModelRow'
import { TableHead } from '@/features/models/list/TableHead'
import classes from '@/features/models/list/table.module.css'
import { useListActions } from '@/features/models/list/useListActions'
import { useListKeys } from '@/features/models/list/useListKeys'
import { useVisibleRows } from '@/features/models/list/useVisibleRows'

const HEIGHT = 44
const NARROW_HEIGHT = 56
const NARROW = '(max-width: 47.99em)'
const BORDER = 1
const OVERSCAN_ROWS = 8

export function ModelTable({ kind, ...list }: ModelListProps & { kind: RowKind }) {
  const body = useRef<HTMLTableSectionElement>(null)
  const isNarrow = useMediaQuery(NARROW, window.matchMedia(NARROW).matches, { getInitialValueInEffect: false })
  const activeRow = useRef(-1)
  const { rows, after, scrollToRow } = useVisibleRows(body, {
    count: list.rows.length,
    height: (isNarrow ? NARROW_HEIGHT : HEIGHT) + BORDER,
    columns: 1,
    overscan: OVERSCAN_ROWS,
    activeRow: activeRow.current,
    hasMore: list.hasMore,
    onMore: list.onMore,
  })
  const actions = useListActions(list)
  const keys = useListKeys({ place: body, rows: list.rows, list: list.list, columns: 1, scrollToRow, actions })
  activeRow.current = keys.active
  return (
    // biome-ignore-start lint/a11y/noNoninteractiveElementToInteractiveRole: one row is active and takes keys.
    <table
      role="grid"
      aria-label={kind === 'trash' ? 'Deleted models' : 'Models'}
      aria-multiselectable={list.hasMarks}
      className={classes.table}
      aria-rowcount={list.total === undefined ? -1 : list.total + 1}
      onKeyDown={keys.onKeyDown}
    >
      <TableHead kind={kind} {...list} />
      <tbody ref={body}>
        {rows.map(({ index, gap }) => {
          const model = list.rows[index]
          if (!model) return null
          return (
            <Fragment key={model.id}>
              {gap > 0 && <Spacer height={gap} />}
              <ModelRow
                kind={kind}
                model={model}
                index={index}
                hasMarks={list.hasMarks}
                mayMark={list.mayMark(model)}
                isActive={keys.active === index}
                isMarked={list.selection.has(model.id)}
                isOpen={model.id === list.openId}
                onMark={list.selection.toggle}
                onActive={keys.setActive}
                onOpen={list.onOpen}
              />
            </Fragment>
          )
        })}
        {after > 0 && <Spacer height={after} />}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noNoninteractiveElementToInteractiveRole: see above.
  )
}

function Spacer({ height }: { height: number }) {
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it cannot have the focus.
    <tr className={classes.spacer} aria-hidden="true">
      <td style={{ height }} />
    </tr>
  )
}
