// The team that one acts in: its settings, and how much it stores.

import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'

export const TEAM = ['team']

/** `often` says how soon it is asked for again, where somebody watches it. */
export function useTeam(often: { refetchInterval?: number; staleTime?: number } = {}) {
  return useQuery({ queryKey: TEAM, queryFn: () => answered(api.GET('/api/v1/teams/current')), ...often })
}
