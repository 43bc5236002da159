// Which models are marked for doing something with all of them. Marks belong to one list and end with it.

import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { Model } from '@/api/types'

export interface Selection {
  models: Model[]
  has(id: string): boolean
  /** Mark or unmark; with `isRange` all from the last one touched to this one. */
  toggle(model: Model, isRange: boolean): void
  /** Mark all that are loaded, or none. */
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: another list is what ends the marks.
  useEffect(clear, [list])
  return useMemo(
    () => ({
      models: rows.filter((model) => marked.has(model.id)),
      has: (id) => marked.has(id),
      toggle: (model, isRange) => {
        const isMarked = !marked.has(model.id)
        const touched = isRange ? between(rows, anchor.current, model) : [model]
        setMarked(withMarks(marked, touched.filter(mayMark), isMarked))
        anchor.current = model.id
      },
      all: (isMarked) => setMarked(new Set(isMarked ? rows.filter(mayMark).map((model) => model.id) : [])),
      clear,
    }),
    [rows, marked, mayMark, clear],
  )
}

function withMarks(marked: ReadonlySet<string>, models: Model[], isMarked: boolean): ReadonlySet<string> {
  const next = new Set(marked)
  for (const { id } of models) {
    if (isMarked) next.add(id)
    else next.delete(id)
  }
  return next
}

function between(rows: Model[], from: string | undefined, to: Model): Model[] {
  const place = (id: string | undefined) => rows.findIndex((row) => row.id === id)
  const ends = [place(from), place(to.id)].sort((one, other) => one - other)
  const [first = 0, last = 0] = ends
  return first < 0 ? [to] : rows.slice(first, last + 1)
}
