// Keyboard navigation of a grid (WAI-ARIA grid pattern): one cell is focusable, and arrow keys move the focus.

import { type FocusEvent, type KeyboardEvent, useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'

/** Row 0 is the header with machines; column 0 contains the models. */
export interface CellPosition {
  row: number
  column: number
}

interface Size {
  rows: number
  columns: number
  /** Number of visible rows, by which Page Up and Page Down move. */
  page: number
}

const STEPS: Record<string, (place: CellPosition, size: Size) => Partial<CellPosition>> = {
  ArrowDown: ({ row }) => ({ row: row + 1 }),
  ArrowUp: ({ row }) => ({ row: row - 1 }),
  ArrowRight: ({ column }) => ({ column: column + 1 }),
  ArrowLeft: ({ column }) => ({ column: column - 1 }),
  PageDown: ({ row }, { page }) => ({ row: row + page }),
  PageUp: ({ row }, { page }) => ({ row: row - page }),
  Home: () => ({ column: 0 }),
  End: (_, { columns }) => ({ column: columns - 1 }),
}

export function useGridNavigation(size: Size, show: (place: CellPosition) => void) {
  const [requested, setActive] = useState<CellPosition>({ row: 1, column: 0 })
  // Filters may have removed the focused row or column.
  const [row, column] = [clamp(requested.row, size.rows), clamp(requested.column, size.columns)]
  const active = useMemo(() => ({ row, column }), [row, column])
  const grid = useRef<HTMLDivElement>(null)
  const shouldFocus = useRef(false)

  useLayoutEffect(() => {
    if (!shouldFocus.current) return
    shouldFocus.current = false
    grid.current
      ?.querySelector<HTMLElement>(`[data-place="${active.row}:${active.column}"]`)
      ?.focus({ preventScroll: true })
  }, [active])

  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key]
    if (!step || event.altKey || event.metaKey) return
    event.preventDefault()
    const target = { ...active, ...step(active, size) }
    const next = { row: clamp(target.row, size.rows), column: clamp(target.column, size.columns) }
    shouldFocus.current = true
    show(next)
    setActive(next)
  }
  const onFocus = useCallback((event: FocusEvent) => {
    const place = getPosition(event.target)
    if (place) setActive((before) => (before.row === place.row && before.column === place.column ? before : place))
  }, [])
  return { active, grid, onKeyDown, onFocus }
}

/** Return the grid position of an element. */
export function getPosition(element: EventTarget | null): CellPosition | undefined {
  const at = element instanceof Element ? element.closest<HTMLElement>('[data-place]')?.dataset.place : undefined
  const [row, column] = (at ?? '').split(':').map(Number)
  return at === undefined || row === undefined || column === undefined ? undefined : { row, column }
}

function clamp(number: number, count: number): number {
  return Math.max(0, Math.min(count - 1, number))
}
