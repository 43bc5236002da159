// Search parameters of the models page: filters, order, view and open model.

import type { ModelQuery } from '@/api/types'
import { MODEL_SORTS, MODEL_STATUSES, VERIFICATIONS } from '@/generated/states'

export interface ModelSearch
  extends Pick<ModelQuery, 'q' | 'model_type' | 'model_status' | 'verification' | 'tag' | 'sort'> {
  /** Only those that are not on every machine that should have them. */
  missing?: boolean
  /** Deleted models that can still be restored. */
  trash?: boolean
  view?: 'table' | 'grid'
  /** The id of the model whose details are open. */
  model?: string
}

const TEXTS = ['q', 'model_type', 'tag', 'model'] as const
const CHOICES = {
  model_status: MODEL_STATUSES,
  verification: VERIFICATIONS,
  sort: MODEL_SORTS,
  view: ['table', 'grid'],
} as const
const SWITCHES = ['missing', 'trash'] as const
export const FILTERS = ['q', 'model_type', 'model_status', 'verification', 'tag', 'missing'] as const

/** Validate the search parameters; unknown and invalid ones are dropped. */
export function modelSearch(search: Record<string, unknown>): ModelSearch {
  const texts = TEXTS.filter((name) => search[name] !== undefined && search[name] !== '')
  const choices = Object.entries(CHOICES).filter(([name, known]) => known.some((one) => one === search[name]))
  const switches = SWITCHES.filter((name) => search[name] === true)
  return Object.fromEntries([
    ...texts.map((name) => [name, String(search[name])]),
    ...choices.map(([name]) => [name, search[name]]),
    ...switches.map((name) => [name, true]),
  ]) as ModelSearch
}

/** Return changed search parameters, without empty and default values. */
export function withChange(search: ModelSearch, change: { [name in keyof ModelSearch]?: unknown }): ModelSearch {
  const next = modelSearch({ ...search, ...change })
  if (next.sort === '-created_at') delete next.sort
  if (next.view === 'table') delete next.view
  return next
}
