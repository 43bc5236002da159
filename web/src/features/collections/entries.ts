// The models of a collection's next version. Pure.

import type { CollectionModel, NewCollectionModel } from '@/api/types'
import { formatCount } from '@/components/format'

/** Return the models that the next version can have: those that were deleted cannot be in it. */
export function listEntries(models: readonly CollectionModel[]): NewCollectionModel[] {
  return models.filter((one) => one.is_available).map(({ model_id, version }) => ({ model_id, version }))
}

/** Add models at the end; those that are there already get the version of `added`, or the one that the model has now. */
export function mergeEntries(
  entries: readonly NewCollectionModel[],
  added: readonly NewCollectionModel[],
): NewCollectionModel[] {
  const merged = new Map(entries.map((one) => [one.model_id, one]))
  for (const one of added) merged.set(one.model_id, one)
  return [...merged.values()]
}

export function removeEntry(entries: readonly NewCollectionModel[], modelId: string): NewCollectionModel[] {
  return entries.filter(({ model_id }) => model_id !== modelId)
}

/** Return the models that have another version now than the one in the collection. */
export function listOutdated(models: readonly CollectionModel[]): CollectionModel[] {
  return models.filter((one) => one.is_available && one.current_version !== null && one.current_version !== one.version)
}

/** `2 deleted models are left out.`, or nothing. */
export function describeLeftOut(models: readonly CollectionModel[]): string {
  const count = models.filter((one) => !one.is_available).length
  return count === 0 ? '' : `${formatCount(count, 'deleted model is', 'deleted models are')} left out.`
}
