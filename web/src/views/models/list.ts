// What a table and a grid of models have in common: their rows, the marks, and more of them when one comes near the end.

import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type MouseEvent, type RefObject, useEffect, useLayoutEffect, useState } from 'react'
import type { Model } from '@/api/types'
import type { Selection } from '@/views/models/selection'

/** Asked for early enough that a person who scrolls sees no end. */
const AHEAD = 15

export interface ListOfModels {
  rows: Model[]
  /** How many there are in all, if that is known. */
  total: number | undefined
  selection: Selection
  mayMark: (model: Model) => boolean
  /** Nobody marks anything who may change nothing. */
  hasMarks: boolean
  openId: string | undefined
  onOpen: (model: Model) => void
  hasMore: boolean
  onMore: () => void
}

interface Windowed {
  count: number
  height: number
  hasMore: boolean
  onMore: () => void
}

/** The rows near what is in sight; `before` and `after` are the heights of those that are left out. */
export function useRowsInSight(place: RefObject<HTMLElement | null>, { count, height, hasMore, onMore }: Windowed) {
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height are measured anew.
  useEffect(() => virtual.measure(), [height])
  const items = virtual.getVirtualItems()
  const last = items.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasMore && last >= count - AHEAD) onMore()
  }, [hasMore, last, count, onMore])
  return {
    items,
    before: (items[0]?.start ?? top) - top,
    after: virtual.getTotalSize() - ((items.at(-1)?.end ?? top) - top),
  }
}

/** Whether a click on a row means the row, not something in it that has a meaning of its own. */
export function isForRow(event: MouseEvent): boolean {
  const target = event.target as Element
  const isOwn = target.closest('a, button, input, label') === null
  return isOwn && window.getSelection()?.isCollapsed !== false
}
