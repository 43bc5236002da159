// The values by which a search can be narrowed, with counts. A request of its own, which never delays the list.

import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { components } from '@/generated/schema'

export type Facet = components['schemas']['Facet']
export type FacetName = Facet['name']

const FRESH_MILLISECONDS = 15_000
const NO_VALUES: Pick<Facet, 'value_list' | 'is_capped'> = { value_list: [], is_capped: false }

/** Which models are counted. */
export interface FacetScope {
  q: string
  isTrash: boolean
}

export function useFacets(scope: FacetScope) {
  return useQuery({
    queryKey: ['models', 'facets', scope],
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/models/facets', { params: { query: toQuery(scope) }, signal })),
    placeholderData: keepPreviousData,
    staleTime: FRESH_MILLISECONDS,
  })
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

/** Search within the values of one facet, which may have many thousands; nothing without a facet. */
export function useFacetSearch(scope: FacetScope, facet: FacetName | undefined, prefix: string) {
  return useQuery({
    queryKey: ['models', 'facets', scope, facet, prefix],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models/facets', {
          params: { query: { ...toQuery(scope), ...(facet && { facet }), ...(prefix && { prefix }) } },
          signal,
        }),
      ),
    // Never undefined: as the data of a placeholder, it would render without end.
    select: ({ facet_list }) => facet_list.find(({ name }) => name === facet) ?? NO_VALUES,
    placeholderData: keepPreviousData,
    enabled: facet !== undefined,
    staleTime: FRESH_MILLISECONDS,
  })
}

function toQuery({ q, isTrash }: FacetScope) {
  return { ...(q && { q }), ...(isTrash && { deleted: true }) }
}
