// Reads and changes the search parameters of the models page.

import { getRouteApi } from '@tanstack/react-router'
import { useCallback } from 'react'
import { type ModelSearch, withChange } from '@/features/models/search'

const route = getRouteApi('/inside/models')

/** Return the list's search parameters, without the open model, so that opening one does not reload the list. */
export function useModelSearch(): Omit<ModelSearch, 'model'> {
  return route.useSearch({ select: ({ model: _model, ...list }) => list, structuralSharing: true })
}

export function useOpenModel(): string | undefined {
  return route.useSearch({ select: ({ model }) => model })
}

type Change = { [name in keyof ModelSearch]?: unknown }

/** A change may depend on what the address is then: it may be newer than what is shown. */
export type ChangeSearch = (change: Change | ((now: ModelSearch) => Change), isStep?: boolean) => void

/** Return a function that changes the address; with `isStep` it adds a history entry. */
export function useChangeSearch(): ChangeSearch {
  const navigate = route.useNavigate()
  return useCallback(
    (change, isStep = true) => {
      const apply = (now: ModelSearch) => withChange(now, typeof change === 'function' ? change(now) : change)
      void navigate({ search: apply, replace: !isStep, resetScroll: false })
    },
    [navigate],
  )
}
