// The place of a model in the list from which its page was opened.

import { useEffect, useMemo } from 'react'
import type { Model } from '@/api/types'
import { formatPartialCount } from '@/components/format'
import { buildQuery, flattenPages, useModels, useTotal } from '@/features/models/queries'
import type { ModelSearch } from '@/features/models/search'

// A model further down in the list has no neighbours after a reload: finding it would read everything before it.
const MAX_PAGES = 6

export interface Neighbours {
  previous: Model | undefined
  next: Model | undefined
  /** `3 of 2,731`; empty if the model is not in the list. */
  place: string
}

export function useNeighbours(id: string, search: ModelSearch): Neighbours {
  const asked = useMemo(() => buildQuery(search), [search])
  const models = useModels(asked)
  const rows = useMemo(() => flattenPages(models.data), [models.data])
  const total = useTotal(asked)
  const index = rows.findIndex((model) => model.id === id)
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = models
  const isMissing = index === -1 && (models.data?.pages.length ?? 0) < MAX_PAGES
  const needsMore = (isMissing || index === rows.length - 1) && hasNextPage
  useEffect(() => {
    if (needsMore && !isFetchingNextPage && !isFetchNextPageError) void fetchNextPage()
  }, [needsMore, isFetchingNextPage, isFetchNextPageError, fetchNextPage])
  if (index === -1) return { previous: undefined, next: undefined, place: '' }
  const count = total && formatPartialCount(total.count, total.isAtLeast)
  return {
    previous: rows[index - 1],
    next: rows[index + 1],
    place: count ? `${(index + 1).toLocaleString('en')} of ${count}` : '',
  }
}
