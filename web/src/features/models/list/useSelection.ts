// The selection of models for bulk actions. It belongs to one list and is cleared with it.

import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { Model } from '@/api/types'

export interface Selection {
  models: Model[]
  has(id: string): boolean
  /** Toggle a model; with `isRange` all models from the last toggled one to this one. */
  toggle(model: Model, isRange: boolean): void
  /** Select all loaded models, or none. */
  all(isMarked: boolean): void
  clear(): void
}

export function useSelection(rows: Model[], mayMark: (model: Model) => boolean, list: string): Selection {
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set())
  const anchor = useRef<string | undefined>(undefined)
  const clear = useCallback(() => {
    setMarked(new Set())
    anchor.current = undefined
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: another list clears the selection.
  useEffect(clear, [list])
  return useMemo(
    () => ({
      models: rows.filter((model) => marked.has(model.id)),
      has: (id) => marked.has(id),
      toggle: (model, isRange) => {
        const isMarked = !marked.has(model.id)
        const touched = isRange ? getRange(rows, anchor.current, model) : [model]
        setMarked(applySelection(marked, touched.filter(mayMark), isMarked))
        anchor.current = model.id
      },
      all: (isMarked) => setMarked(new Set(isMarked ? rows.filter(mayMark).map((model) => model.id) : [])),
      clear,
    }),
    [rows, marked, mayMark, clear],
  )
}

function applySelection(marked: ReadonlySet<string>, models: Model[], isMarked: boolean): ReadonlySet<string> {
  const next = new Set(marked)
  for (const { id } of models) {
    if (isMarked) next.add(id)
    else next.delete(id)
  }
  return next
}

function getRange(rows: Model[], from: string | undefined, to: Model): Model[] {
  const place = (id: string | undefined) => rows.findIndex((row) => row.id === id)
  const ends = [place(from), place(to.id)].sort((one, other) => one - other)
  const [first = 0, last = 0] = ends
  return first < 0 ? [to] : rows.slice(first, last + 1)
}
