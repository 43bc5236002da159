// Moving in a grid by keyboard (WAI-ARIA's grid pattern): one cell is in the order of tabs, and arrows move it.

import { type FocusEvent, type KeyboardEvent, useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'

/** Row 0 is the head with the machines, column 0 the one with the models. */
export interface Place {
  row: number
  column: number
}

interface Size {
  rows: number
  columns: number
  /** Rows that are seen at once. */
  page: number
}

const STEPS: Record<string, (place: Place, size: Size) => Partial<Place>> = {
  ArrowDown: ({ row }) => ({ row: row + 1 }),
  ArrowUp: ({ row }) => ({ row: row - 1 }),
  ArrowRight: ({ column }) => ({ column: column + 1 }),
  ArrowLeft: ({ column }) => ({ column: column - 1 }),
  PageDown: ({ row }, { page }) => ({ row: row + page }),
  PageUp: ({ row }, { page }) => ({ row: row - page }),
  Home: () => ({ column: 0 }),
  End: (_, { columns }) => ({ column: columns - 1 }),
}

export function useMoving(size: Size, show: (place: Place) => void) {
  const [chosen, setActive] = useState<Place>({ row: 1, column: 0 })
  // Filters may have taken away the row or the machine that one stood on.
  const [row, column] = [within(chosen.row, size.rows), within(chosen.column, size.columns)]
  const active = useMemo(() => ({ row, column }), [row, column])
  const grid = useRef<HTMLDivElement>(null)
  const wantsFocus = useRef(false)

  useLayoutEffect(() => {
    if (!wantsFocus.current) return
    wantsFocus.current = false
    grid.current
      ?.querySelector<HTMLElement>(`[data-place="${active.row}:${active.column}"]`)
      ?.focus({ preventScroll: true })
  }, [active])

  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key]
    if (!step || event.altKey || event.metaKey) return
    event.preventDefault()
    const wanted = { ...active, ...step(active, size) }
    const next = { row: within(wanted.row, size.rows), column: within(wanted.column, size.columns) }
    wantsFocus.current = true
    show(next)
    setActive(next)
  }
  const onFocus = useCallback((event: FocusEvent) => {
    const place = placeOf(event.target)
    if (place) setActive((before) => (before.row === place.row && before.column === place.column ? before : place))
  }, [])
  return { active, grid, onKeyDown, onFocus }
}

/** Where an element of the grid stands. */
export function placeOf(element: EventTarget | null): Place | undefined {
  const at = element instanceof Element ? element.closest<HTMLElement>('[data-place]')?.dataset.place : undefined
  const [row, column] = (at ?? '').split(':').map(Number)
  return at === undefined || row === undefined || column === undefined ? undefined : { row, column }
}

function within(number: number, count: number): number {
  return Math.max(0, Math.min(count - 1, number))
}
