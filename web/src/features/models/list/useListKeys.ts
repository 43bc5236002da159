// The keyboard in the gallery and the table: one of the models is active and a tab stop, and arrows make another one
// active (the layout grid pattern of WAI-ARIA). Letters work only while the list has the focus (WCAG 2.1.4).

import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from 'react'
import type { Model } from '@/api/types'
import { areKeysOn, isTyping } from '@/components/characterKeys'

export interface ListKeys {
  /** The index of the active model. */
  active: number
  setActive: (index: number) => void
  onKeyDown: (event: KeyboardEvent) => void
}

interface ListKeysOptions {
  place: RefObject<HTMLElement | null>
  rows: Model[]
  /** Identifies the list: in another one, the first model is active. */
  list: string
  columns: number
  scrollToRow: (row: number) => void
  /** What a letter or Space does to the active model. */
  actions: Record<string, ((model: Model, event: KeyboardEvent) => void) | undefined>
}

/** How many rows PageUp and PageDown move. */
const PAGE_ROWS = 3

export function useListKeys({ place, rows, list, columns, scrollToRow, actions }: ListKeysOptions): ListKeys {
  const [wanted, setActive] = useState(0)
  const [shown, setShown] = useState(list)
  if (shown !== list) {
    setShown(list)
    setActive(0)
  }
  const active = Math.min(wanted, Math.max(rows.length - 1, 0))
  const isFocusPending = useRef(false)
  // A row that an arrow leads to may be mounted by a later render.
  useEffect(() => {
    if (!isFocusPending.current) return
    // The user has gone elsewhere meanwhile.
    if (isFocusOutside(place.current)) isFocusPending.current = false
    else isFocusPending.current = !focusActive(place.current)
  })
  const move = (index: number) => {
    setActive(index)
    scrollToRow(Math.floor(index / columns))
    // At an edge, the active model stays the same, and nothing is rendered.
    isFocusPending.current = index !== active || !focusActive(place.current)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    // Events of a menu or dialog that a card has opened arrive here as well.
    if (event.defaultPrevented || !event.currentTarget.contains(event.target as Node)) return
    if (event.altKey || event.metaKey || isTyping(event.target)) return
    const next = getNext(event, active, columns, rows.length)
    if (next !== undefined) {
      event.preventDefault()
      move(next)
      return
    }
    const model = rows[active]
    const action = actions[event.key]
    if (!model || !action || event.ctrlKey || isForControl(event)) return
    if (event.key !== ' ' && !areKeysOn()) return
    event.preventDefault()
    action(model, event)
  }
  return { active, setActive, onKeyDown }
}

/** Return the index that the key leads to; undefined for other keys. */
export function getNext(
  event: Pick<KeyboardEvent, 'key' | 'ctrlKey'>,
  active: number,
  columns: number,
  count: number,
): number | undefined {
  const last = count - 1
  const inRow = active % columns
  const targets: Record<string, number> = {
    ArrowLeft: columns > 1 ? active - 1 : active,
    ArrowRight: columns > 1 ? active + 1 : active,
    ArrowUp: active - columns,
    ArrowDown: active + columns,
    PageUp: Math.max(active - PAGE_ROWS * columns, inRow),
    PageDown: Math.min(active + PAGE_ROWS * columns, last),
    Home: event.ctrlKey || columns === 1 ? 0 : active - inRow,
    End: event.ctrlKey || columns === 1 ? last : Math.min(active - inRow + columns - 1, last),
  }
  const target = targets[event.key]
  if (target === undefined) return undefined
  return target < 0 || target > last ? active : target
}

/** Focus the active model; returns whether it is mounted. */
function focusActive(place: HTMLElement | null): boolean {
  const target = place?.querySelector<HTMLElement>('[data-active] [data-name]')
  target?.focus({ preventScroll: true })
  return target !== null && target !== undefined
}

/** Return whether an element outside of the list has the focus. */
function isFocusOutside(place: HTMLElement | null): boolean {
  const focused = document.activeElement
  return focused !== null && focused !== document.body && !place?.contains(focused)
}

/** Space on a button or checkbox presses it. */
function isForControl({ key, target }: KeyboardEvent): boolean {
  return key === ' ' && target instanceof HTMLElement && target.closest('button, input') !== null
}
