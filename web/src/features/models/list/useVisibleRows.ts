// Shared by the gallery and the table: virtualised rows, and loading more near the end.

import { defaultRangeExtractor, useWindowVirtualizer } from '@tanstack/react-virtual'
import { type MouseEvent, type RefObject, useEffect, useLayoutEffect, useState } from 'react'

/** The next page is loaded this many models before the end. */
const LOAD_AHEAD_MODELS = 20
// The header with the search box, and the navigation at the bottom of narrow screens, cover rows.
const COVERED_ABOVE = 160
const COVERED_BELOW = 72

interface VisibleRowsOptions {
  count: number
  height: number
  /** Models in a row. */
  columns: number
  /** Rows beyond the viewport that are mounted. */
  overscan: number
  /** The row that has the focus stays mounted. */
  activeRow: number
  hasMore: boolean
  onMore: () => void
}

export interface VisibleRow {
  index: number
  /** The height of rows that are left out before this one. */
  gap: number
}

/** Return the rows near the viewport; `after` is the height of the rows that are left out at the end. */
export function useVisibleRows(place: RefObject<HTMLElement | null>, options: VisibleRowsOptions) {
  const { count, height, columns, overscan, activeRow, hasMore, onMore } = options
  const top = useTop(place)
  const virtual = useWindowVirtualizer({
    count,
    estimateSize: () => height,
    overscan,
    scrollMargin: top,
    scrollPaddingStart: COVERED_ABOVE,
    scrollPaddingEnd: COVERED_BELOW,
    rangeExtractor: (range) => {
      const rows = defaultRangeExtractor(range)
      return activeRow < 0 || activeRow >= count || rows.includes(activeRow)
        ? rows
        : [...rows, activeRow].sort((one, other) => one - other)
    },
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height must be measured again.
  useLayoutEffect(() => virtual.measure(), [height])
  const items = virtual.getVirtualItems()
  const lastInView = virtual.range?.endIndex ?? 0
  useEffect(() => {
    // No row is known before the width is.
    if (hasMore && count > 0 && (lastInView + 1) * columns >= count * columns - LOAD_AHEAD_MODELS) onMore()
  }, [hasMore, lastInView, columns, count, onMore])
  const rows: VisibleRow[] = items.map((item, place) => ({
    index: item.index,
    gap: item.start - (items[place - 1]?.end ?? top),
  }))
  return {
    rows,
    after: virtual.getTotalSize() - ((items.at(-1)?.end ?? top) - top),
    scrollToRow: (index: number) => virtual.scrollToIndex(index, { align: 'auto' }),
  }
}

/** Return the distance of the list from the top of the document. */
function useTop(place: RefObject<HTMLElement | null>): number {
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const element = place.current
    if (!element) return
    const measure = () => setTop(element.getBoundingClientRect().top + window.scrollY)
    measure()
    // Chips that wrap push the list down.
    const watcher = new ResizeObserver(measure)
    watcher.observe(document.body)
    return () => watcher.disconnect()
  }, [place])
  return top
}

/** Return whether a click is for the row itself, not for a control in it or a text selection. */
export function isRowClick(event: MouseEvent): boolean {
  const target = event.target as Element
  const isOwn = target.closest('a, button, input, label') === null
  return isOwn && window.getSelection()?.isCollapsed !== false
}
