// The names of the team's machines, for suggestions.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { readAllPages } from '@/api/readAllPages'
import { MAX_PAGE_ROWS } from '@/generated/paging'

const FRESH_MILLISECONDS = 30_000

export function useMachineNames(isEnabled: boolean): string[] {
  const { data = [] } = useQuery({
    queryKey: ['fleet', 'names'],
    queryFn: async ({ signal }) => {
      const pages = await readAllPages((cursor) =>
        unwrap(api.GET('/api/v1/agents', { params: { query: { cursor, per_page: MAX_PAGE_ROWS } }, signal })),
      )
      return pages.flatMap((page) => page.agent_list.map(({ agent_id }) => agent_id))
    },
    enabled: isEnabled,
    staleTime: FRESH_MILLISECONDS,
  })
  return data
}
