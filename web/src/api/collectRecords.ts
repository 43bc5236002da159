// Collects the records of many models from responses that have a limited number each.

import type { LookupResult, Model } from '@/api/types'

/** The part of a lookup's result that has records. */
export type RecordsPart = Pick<LookupResult, 'model_list' | 'has_more_records'>

/**
 * Return the records of models by their ids, without those that were deleted.
 *
 * `lookUp` is called with the ids whose record is missing, as long as its results say that there are more and have some
 * of these.
 */
export async function collectRecords(
  ids: string[],
  lookUp: (ids: string[]) => Promise<RecordsPart>,
): Promise<Map<string, Model>> {
  const records = new Map<string, Model>()
  let missing = ids
  while (missing.length > 0) {
    const { model_list, has_more_records } = await lookUp(missing)
    for (const model of model_list ?? []) records.set(model.id, model)
    const left = missing.filter((id) => !records.has(id))
    missing = has_more_records && left.length < missing.length ? left : []
  }
  return records
}
