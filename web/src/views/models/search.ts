// What the address of the models view says: the filters, the order, and which model is open.

import type { ModelQuery } from '@/api/types'

export interface ModelSearch
  extends Pick<ModelQuery, 'q' | 'model_type' | 'model_status' | 'verification' | 'tag' | 'sort'> {
  /** Only those that are not on every machine that should have them. */
  missing?: boolean
  /** What was deleted and can still come back. */
  trash?: boolean
  view?: 'table' | 'grid'
  /** The id of the model whose details are open. */
  model?: string
}

const WORDS = ['q', 'model_type', 'model_status', 'verification', 'tag', 'sort', 'view', 'model'] as const
const SWITCHES = ['missing', 'trash'] as const

/** What of an address belongs to this view; the registry refuses values that it does not know. */
export function modelSearch(search: Record<string, unknown>): ModelSearch {
  const words = WORDS.filter((name) => search[name] !== undefined && search[name] !== '')
  const switches = SWITCHES.filter((name) => search[name] === true)
  return Object.fromEntries([
    ...words.map((name) => [name, String(search[name])]),
    ...switches.map((name) => [name, true]),
  ]) as ModelSearch
}
