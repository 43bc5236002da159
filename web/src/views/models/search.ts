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

const TEXTS = ['q', 'model_type', 'tag', 'model'] as const
const CHOICES = {
  model_status: ['active', 'disabled'],
  verification: ['pending', 'verified', 'failed'],
  sort: ['created_at', '-created_at', 'display_name', '-display_name', 'file_size', '-file_size'],
  view: ['table', 'grid'],
} as const
const SWITCHES = ['missing', 'trash'] as const
export const FILTERS = ['q', 'model_type', 'model_status', 'verification', 'tag', 'missing'] as const

/** What of an address belongs to this view; what makes no sense is as if it was not there. */
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

/** An address with some of it changed; what is empty or the default is left out of it. */
export function withChange(search: ModelSearch, change: { [name in keyof ModelSearch]?: unknown }): ModelSearch {
  const next = modelSearch({ ...search, ...change })
  if (next.sort === '-created_at') delete next.sort
  if (next.view === 'table') delete next.view
  return next
}
