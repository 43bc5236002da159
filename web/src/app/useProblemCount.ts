// The number of the team's machines that have a problem, for the navigation.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'

const POLL_MILLISECONDS = 30_000

export function useProblemCount(): number {
  const { data } = useQuery({
    queryKey: ['fleet', 'problems'],
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/agents', { params: { query: { machine_state: 'problem', per_page: 1 } }, signal })),
    select: (page) => page.page_meta.total_count ?? 0,
    refetchInterval: POLL_MILLISECONDS,
  })
  return data ?? 0
}
