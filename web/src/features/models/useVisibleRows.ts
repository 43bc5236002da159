// Shared by the table and the grid: virtualised rows, and loading more near the end.

import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type MouseEvent, type RefObject, useEffect, useLayoutEffect, useState } from 'react'
import type { Model } from '@/api/types'
import type { Selection } from '@/features/models/useSelection'

/** The next page is loaded this many rows before the end. */
const LOAD_AHEAD_ROWS = 15

export interface ModelListProps {
  rows: Model[]
  /** How many there are in all, if that is known. */
  total: number | undefined
  selection: Selection
  mayMark: (model: Model) => boolean
  /** Whether the user can select models, which needs permission to change some. */
  hasMarks: boolean
  openId: string | undefined
  onOpen: (model: Model) => void
  hasMore: boolean
  onMore: () => void
}

interface VisibleRowsOptions {
  count: number
  height: number
  hasMore: boolean
  onMore: () => void
}

/** Return the rows near the viewport; `before` and `after` are the heights of the rows that are left out. */
export function useVisibleRows(
  place: RefObject<HTMLElement | null>,
  { count, height, hasMore, onMore }: VisibleRowsOptions,
) {
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const element = place.current
    if (!element) return
    const measure = () => setTop(element.getBoundingClientRect().top + window.scrollY)
    measure()
    // Filters that wrap push the list down.
    const watcher = new ResizeObserver(measure)
    watcher.observe(document.body)
    return () => watcher.disconnect()
  }, [place])
  const virtual = useWindowVirtualizer({ count, estimateSize: () => height, overscan: 8, scrollMargin: top })
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height must be measured again.
  useEffect(() => virtual.measure(), [height])
  const items = virtual.getVirtualItems()
  const last = items.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasMore && last >= count - LOAD_AHEAD_ROWS) onMore()
  }, [hasMore, last, count, onMore])
  return {
    items,
    before: (items[0]?.start ?? top) - top,
    after: virtual.getTotalSize() - ((items.at(-1)?.end ?? top) - top),
  }
}

/** Return whether a click is for the row itself, not for a control in it or a text selection. */
export function isRowClick(event: MouseEvent): boolean {
  const target = event.target as Element
  const isOwn = target.closest('a, button, input, label') === null
  return isOwn && window.getSelection()?.isCollapsed !== false
}
