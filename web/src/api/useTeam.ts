// The current team: its settings and stored bytes.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'

export const TEAM_QUERY_KEY = ['team']

/** `refreshOptions` sets how often it is refreshed in views that show live numbers. */
export function useTeam(refreshOptions: { refetchInterval?: number; staleTime?: number } = {}) {
  return useQuery({
    queryKey: TEAM_QUERY_KEY,
    queryFn: () => unwrap(api.GET('/api/v1/teams/current')),
    ...refreshOptions,
  })
}
