// The list of models as cards with their pictures. Only rows near the viewport are mounted.

import { useRef } from 'react'
import classes from '@/features/models/list/gallery.module.css'
import type { ModelListProps } from '@/features/models/list/listProps'
import { ModelCard } from '@/features/models/list/ModelCard'
import { useListActions } from '@/features/models/list/useListActions'
import { useListKeys } from '@/features/models/list/useListKeys'
import { useVisibleRows } from '@/features/models/list/useVisibleRows'
import { useWidth } from '@/features/models/list/useWidth'

const NARROW_WIDTH = 640
/** Cards are at least this wide; their pictures are 4:5. */
const CARD = { wide: 208, narrow: 140 }
const COLUMN_GAP = { wide: 12, narrow: 10 }
const ROW_GAP = { wide: 16, narrow: 12 }
const CAPTION_HEIGHT = 52
const EAGER_ROWS = 2

export function Gallery(list: ModelListProps) {
  const place = useRef<HTMLDivElement>(null)
  const width = useWidth(place)
  const size = width < NARROW_WIDTH ? 'narrow' : 'wide'
  const gap = COLUMN_GAP[size]
  const columns = Math.max(width > 0 ? 2 : 1, Math.floor((width + gap) / (CARD[size] + gap)))
  const pictureHeight = Math.round((((width - gap * (columns - 1)) / columns) * 5) / 4)
  const rowCount = Math.ceil(list.rows.length / columns)
  const activeRow = useRef(-1)
  const { rows, after, scrollToRow } = useVisibleRows(place, {
    count: width > 0 ? rowCount : 0,
    height: pictureHeight + CAPTION_HEIGHT + ROW_GAP[size],
    columns,
    overscan: 2,
    activeRow: activeRow.current,
    hasMore: list.hasMore,
    onMore: list.onMore,
  })
  const actions = useListActions(list)
  const keys = useListKeys({ place, rows: list.rows, list: list.list, columns, scrollToRow, actions })
  activeRow.current = Math.floor(keys.active / columns)
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table has no cards.
    <div
      ref={place}
      className={classes.list}
      role="grid"
      aria-label="Models"
      aria-rowcount={list.total === undefined ? -1 : Math.ceil(list.total / columns)}
      aria-colcount={columns}
      aria-multiselectable={list.hasMarks}
      onKeyDown={keys.onKeyDown}
    >
      {rows.map(({ index, gap: before }) => (
        // biome-ignore lint/a11y/useFocusableInteractive: see above.
        // biome-ignore lint/a11y/useSemanticElements: see above.
        <div
          key={index}
          role="row"
          aria-rowindex={index + 1}
          className={classes.row}
          style={{
            marginTop: before,
            columnGap: gap,
            paddingBottom: ROW_GAP[size],
            gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
          }}
        >
          {list.rows.slice(index * columns, (index + 1) * columns).map((model, column) => (
            <ModelCard
              key={model.id}
              model={model}
              index={index * columns + column}
              column={column + 1}
              isEager={index < EAGER_ROWS}
              pictureHeight={pictureHeight}
              isActive={keys.active === index * columns + column}
              isMarked={list.selection.has(model.id)}
              isOpen={model.id === list.openId}
              hasMark={list.hasMarks}
              mayMark={list.mayMark(model)}
              mayChange={list.mayChange(model)}
              onMark={list.selection.toggle}
              onActive={keys.setActive}
              onOpen={list.onOpen}
              onSend={list.onSend}
            />
          ))}
        </div>
      ))}
      <div style={{ height: after }} />
    </div>
  )
}
