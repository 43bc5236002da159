// Reads the records of many models by their ids: one response has a limited number.

import { api, unwrap } from '@/api/client'
import type { Model } from '@/api/types'

interface Options {
  /** The team of the models; without it the current one. */
  teamId?: string
  signal?: AbortSignal
}

/** Read the records of up to 1,000 models, by their ids; without those that were deleted. */
export async function readRecords(ids: string[], { teamId, signal }: Options = {}): Promise<Map<string, Model>> {
  const records = new Map<string, Model>()
  let missing = ids
  while (missing.length > 0) {
    const { model_list, has_more_records } = await unwrap(
      api.POST('/api/v1/models/lookup', {
        body: { ids: missing, records: true },
        ...(teamId && { params: { header: { 'X-Team-ID': teamId } } }),
        ...(signal && { signal }),
      }),
    )
    for (const model of model_list ?? []) records.set(model.id, model)
    missing = has_more_records && model_list?.length ? missing.filter((id) => !records.has(id)) : []
  }
  return records
}
