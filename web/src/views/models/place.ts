// Where one is in this view, and how to go elsewhere in it.

import { getRouteApi } from '@tanstack/react-router'
import { useCallback } from 'react'
import { type ModelSearch, withChange } from '@/views/models/search'

const route = getRouteApi('/inside/models')

/** What list is asked for. The details that are open are left out: opening them makes no other list. */
export function useModelSearch(): Omit<ModelSearch, 'model'> {
  return route.useSearch({ select: ({ model: _model, ...list }) => list, structuralSharing: true })
}

export function useOpenModel(): string | undefined {
  return route.useSearch({ select: ({ model }) => model })
}

export type Go = (change: { [name in keyof ModelSearch]?: unknown }, isStep?: boolean) => void

/** Change the address; a step is one that the back button takes back. */
export function useGo(): Go {
  const navigate = route.useNavigate()
  return useCallback(
    (change, isStep = true) => {
      void navigate({ search: (now) => withChange(now, change), replace: !isStep, resetScroll: false })
    },
    [navigate],
  )
}
