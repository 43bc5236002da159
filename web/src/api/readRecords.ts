// Reads the records of many models by their ids.

import { api, unwrap } from '@/api/client'
import { collectRecords } from '@/api/collectRecords'
import type { Model } from '@/api/types'

interface Options {
  /** The team of the models; without it the current one. */
  teamId?: string
  signal?: AbortSignal
}

/** Read the records of up to 1,000 models, by their ids; without those that were deleted. */
export function readRecords(ids: string[], { teamId, signal }: Options = {}): Promise<Map<string, Model>> {
  return collectRecords(ids, (missing) =>
    unwrap(
      api.POST('/api/v1/models/lookup', {
        body: { ids: missing, records: true },
        ...(teamId && { params: { header: { 'X-Team-ID': teamId } } }),
        ...(signal && { signal }),
      }),
    ),
  )
}
