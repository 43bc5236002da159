// The base model of a model in words: whether it is only claimed, and where it comes from.

import type { Model } from '@/api/types'
import { CLAIMED_BASE_SOURCES } from '@/generated/states'

export type Based = Partial<Pick<Model, 'base_model' | 'base_source'>>
type BaseSource = NonNullable<Model['base_source']>

export const BASE_SOURCES: Record<BaseSource, string> = {
  person: 'entered by a person',
  sidecar: 'claimed by its source, or by a file beside it',
  metadata: 'claimed by the metadata of the file',
  file_name: 'a guess from the file name',
  tensors: 'from the tensors of the file',
}

/** Return whether neither the tensors show the base model, nor a person has entered it. */
export function isBaseClaimed({ base_source: source }: Based): boolean {
  return CLAIMED_BASE_SOURCES.some((one) => one === source)
}

/** `probably Pony` for a claim, `Pony` for a fact, and nothing if it is unknown. The mark comes first: it is not cut. */
export function formatBaseModel(model: Based): string {
  return [isBaseClaimed(model) && 'probably', model.base_model].filter(Boolean).join(' ')
}
