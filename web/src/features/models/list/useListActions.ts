// What keys do to the active model of the list, and which views they lead to (docs/page.md lists them).

import { useMemo } from 'react'
import { copyAndNotify } from '@/components/copyAndNotify'
import type { ModelListProps } from '@/features/models/list/listProps'
import { useChangeSearch, useModelSearch } from '@/features/models/useModelSearch'

export function useListActions({ selection, hasMarks, mayMark }: ModelListProps) {
  const { view } = useModelSearch()
  const go = useChangeSearch()
  return useMemo(
    () => ({
      ' ': (model: Parameters<typeof mayMark>[0], event: { shiftKey: boolean }) => {
        if (hasMarks && mayMark(model)) selection.toggle(model, event.shiftKey)
      },
      c: (model: Parameters<typeof mayMark>[0]) => {
        const words = model.trigger_words.map(({ text }) => text).join(', ')
        if (words) void copyAndNotify(words)
      },
      f: () => document.querySelector<HTMLElement>('[data-facets] input')?.focus(),
      v: () => go({ view: view === 'table' ? undefined : 'table' }),
    }),
    [selection, hasMarks, mayMark, view, go],
  )
}
