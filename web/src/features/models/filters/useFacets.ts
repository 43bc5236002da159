// The values by which a search can be narrowed, with counts. A request of its own, which never delays the list and waits
// for a pause in typing: counting costs the registry more than a page of the list.

import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Total } from '@/features/models/queries'
import type { components } from '@/generated/schema'

export type Facet = components['schemas']['Facet']
export type FacetName = Facet['name']

const FRESH_MILLISECONDS = 15_000
// Longer than the pause between two letters of most people.
const PAUSE_MILLISECONDS = 300
const NO_VALUES: Pick<Facet, 'value_list' | 'is_capped'> = { value_list: [], is_capped: false }

/** Which models are counted. */
export interface FacetScope {
  q: string
  isTrash: boolean
}

/** Count the models by facet; `isCurrent` if the counts are those of this scope, and not of one before. */
export function useFacets({ q, isTrash }: FacetScope, isEnabled = true) {
  const [settled] = useDebouncedValue(q, PAUSE_MILLISECONDS)
  const scope = { q: settled, isTrash }
  const { data, isPlaceholderData } = useQuery({
    queryKey: ['models', 'facets', scope],
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/models/facets', { params: { query: toQuery(scope) }, signal })),
    placeholderData: keepPreviousData,
    enabled: isEnabled,
    staleTime: FRESH_MILLISECONDS,
  })
  return { facets: data?.facet_list, isCurrent: settled === q && data !== undefined && !isPlaceholderData }
}

/** Return the exact number of models in place of one at which the list stopped counting, once facets have it. */
export function useExactTotal(scope: FacetScope, total: Total | undefined): Total | undefined {
  const isPartial = total?.isAtLeast ?? false
  const { facets, isCurrent } = useFacets(scope, isPartial)
  // The counts of tags are about all models that match.
  const counted = facets?.find(({ name }) => name === 'tag')
  if (!isPartial || !isCurrent || typeof counted?.model_count !== 'number') return total
  return { count: counted.model_count, isAtLeast: counted.is_capped }
}

/** Count the models that need attention, by the values of `is:`; nothing before there is a search text. */
export function useAttention({ q, isTrash }: { q: string | undefined; isTrash: boolean }) {
  return useQuery({
    queryKey: ['models', 'facets', { q, isTrash }, 'is'],
    queryFn: ({ signal }) => {
      const query = { ...toQuery({ q: q ?? '', isTrash }), facet: 'is' as const }
      return unwrap(api.GET('/api/v1/models/facets', { params: { query }, signal }))
    },
    select: ({ facet_list }) => facet_list[0],
    placeholderData: keepPreviousData,
    enabled: q !== undefined,
    staleTime: FRESH_MILLISECONDS,
  })
}

/**
 * Search within the values of one facet, which may have many thousands; nothing without a facet. During typing,
 * the values are those of what was asked for last: `isCurrent` says whether they are those of this prefix.
 */
export function useFacetSearch({ q, isTrash }: FacetScope, facet: FacetName | undefined, prefix: string) {
  const [settledQ] = useDebouncedValue(q, PAUSE_MILLISECONDS)
  const [settledPrefix] = useDebouncedValue(prefix, PAUSE_MILLISECONDS)
  const scope = { q: settledQ, isTrash }
  const isSettled = settledQ === q && settledPrefix === prefix
  const { data, isPlaceholderData } = useQuery({
    queryKey: ['models', 'facets', scope, facet, settledPrefix],
    queryFn: ({ signal }) => {
      const values = { ...(facet && { facet }), ...(settledPrefix && { prefix: settledPrefix }) }
      return unwrap(api.GET('/api/v1/models/facets', { params: { query: { ...toQuery(scope), ...values } }, signal }))
    },
    // Never undefined: as the data of a placeholder, it would render without end.
    select: ({ facet_list }) => facet_list.find(({ name }) => name === facet) ?? NO_VALUES,
    placeholderData: keepPreviousData,
    enabled: facet !== undefined && isSettled,
    staleTime: FRESH_MILLISECONDS,
  })
  return { data, isCurrent: isSettled && facet !== undefined && data !== undefined && !isPlaceholderData }
}

function toQuery({ q, isTrash }: FacetScope) {
  return { ...(q && { q }), ...(isTrash && { deleted: true }) }
}
