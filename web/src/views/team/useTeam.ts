// The settings of the team that one acts in.

import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'

export const TEAM = ['team']

export function useTeam() {
  return useQuery({ queryKey: TEAM, queryFn: () => answered(api.GET('/api/v1/teams/current')) })
}
