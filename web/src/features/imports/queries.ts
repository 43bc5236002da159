// Queries of imports: the draft of a link, and the newest imports of the team.

import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'
import { isWaiting } from '@/features/imports/describeImport'

const IMPORTS = ['imports'] as const
const MAX_IMPORTS = 100
const MOVING_MILLISECONDS = 2_000
const IDLE_MILLISECONDS = 15_000

/** Query what an import of a link would register; nothing is asked for an empty link. */
export function useDraft(url: string) {
  return useQuery({
    queryKey: ['import drafts', url],
    queryFn: ({ signal }) => unwrap(api.POST('/api/v1/imports/resolve', { body: { url }, signal })),
    enabled: url !== '',
    // A source that refuses does so again, and a repeated lookup is the person's decision.
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
  })
}

/** Query the newest imports of the team, often while one is running. */
export function useImports() {
  return useQuery({
    queryKey: IMPORTS,
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/imports', { params: { query: { per_page: MAX_IMPORTS, cursor: '' } }, signal })),
    select: ({ import_list }) => import_list,
    staleTime: 0,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => (state.data?.import_list.some(isWaiting) ? MOVING_MILLISECONDS : IDLE_MILLISECONDS),
  })
}

export function refreshImports(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: IMPORTS })
}
