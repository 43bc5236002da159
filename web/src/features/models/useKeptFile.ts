// What the team's setting means for a pickle file that was refused since the team kept such files only to convert them.

import type { ModelVersion, Team } from '@/api/types'
import { useTeam } from '@/api/useTeam'
import { isKeptToConvert } from '@/features/models/refusals'

/** `converts`: the team still does so. `accepts`: the file is accepted if it is uploaded again. `refuses`: it is not. */
export type KeptFile = 'converts' | 'accepts' | 'refuses'

const BY_POLICY: Record<Team['pickle_policy'], KeptFile> = {
  convert: 'converts',
  scan: 'accepts',
  trusted: 'accepts',
  block: 'refuses',
}

/** Return what the setting of today means for the file of a model or version; undefined for files that were not kept so. */
export function useKeptFile(model: Pick<ModelVersion, 'verification' | 'metadata'>): KeptFile | undefined {
  const { data: team } = useTeam()
  return isKeptToConvert(model) ? BY_POLICY[team?.pickle_policy ?? 'convert'] : undefined
}
