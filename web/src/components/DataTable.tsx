// A table of a few columns that becomes a list of cards on a phone. The roles are explicit, because browsers drop
// them when the display style is not that of a table.

import { VisuallyHidden } from '@mantine/core'
import type { ReactNode } from 'react'
import style from '@/components/DataTable.module.css'

export interface Column<Row> {
  title: string
  cell: (row: Row) => ReactNode
  /** Short content that does not wrap. */
  isShort?: boolean
  /** The column of buttons at the end: its title is for screen readers only. */
  isLast?: boolean
}

interface Props<Row> {
  label: string
  columns: Column<Row>[]
  rows: Row[]
  keyOf: (row: Row) => string
}

export function DataTable<Row>({ label, columns, rows, keyOf }: Props<Row>) {
  return (
    // biome-ignore-start lint/a11y/noRedundantRoles: see above.
    <table className={style.table} aria-label={label} role="table">
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ title, isLast }) => (
            <th key={title} className={style.head} scope="col" role="columnheader">
              {isLast ? <VisuallyHidden>{title}</VisuallyHidden> : title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={keyOf(row)} className={style.row} role="row">
            {columns.map(({ title, cell, isShort, isLast }) => (
              <td key={title} className={classes(isShort, isLast)} data-title={isLast ? '' : title} role="cell">
                <div>{cell(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noRedundantRoles: see above.
  )
}

function classes(isShort = false, isLast = false): string {
  return [style.cell, isShort && style.short, isLast && style.last].filter(Boolean).join(' ')
}
