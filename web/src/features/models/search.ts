// Search parameters of the models page: search text, order, view and open model.

import type { ModelQuery } from '@/api/types'
import { joinTokens, type Qualifier, splitSearch, writeToken } from '@/features/models/filters/searchText'
import { MODEL_SORTS } from '@/generated/states'

export interface ModelSearch extends Pick<ModelQuery, 'q' | 'sort'> {
  /** Deleted models that can still be restored. */
  trash?: boolean
  /** The gallery, unless it is the table. */
  view?: 'table'
  /** The id of the model whose details are open. */
  model?: string
}

const TEXTS = ['q', 'model'] as const
const CHOICES = { sort: MODEL_SORTS, view: ['table'] } as const

/** Validate the search parameters; unknown and invalid ones are dropped. */
export function modelSearch(search: Record<string, unknown>): ModelSearch {
  const shown: Record<string, unknown> = { ...search, q: withOldFilters(search) }
  const texts = TEXTS.filter((name) => shown[name] !== undefined && shown[name] !== '')
  const choices = Object.entries(CHOICES).filter(([name, known]) => known.some((one) => one === search[name]))
  return Object.fromEntries([
    ...texts.map((name) => [name, String(shown[name])]),
    ...choices.map(([name]) => [name, search[name]]),
    ...(search.trash === true ? [['trash', true]] : []),
  ]) as ModelSearch
}

const IS_STATUS: Record<string, string> = { disabled: 'is:disabled', active: '-is:disabled' }
const IS_VERIFICATION: Record<string, string> = {
  failed: 'is:damaged',
  pending: 'is:pending',
  verified: '-is:damaged|pending',
}

/** Return the search text with the filters of addresses that were shared before filters were a part of it. */
function withOldFilters(search: Record<string, unknown>): string {
  const value = (key: Qualifier, name: string) => (search[name] ? writeToken(key, String(search[name])) : '')
  const old = [
    value('type', 'model_type'),
    value('tag', 'tag'),
    IS_STATUS[String(search.model_status)] ?? '',
    IS_VERIFICATION[String(search.verification)] ?? '',
    search.missing === true ? 'is:missing' : '',
  ].filter(Boolean)
  const tokens = splitSearch(String(search.q ?? ''))
  return joinTokens([...old.map((text) => ({ text })), ...tokens])
}

/** The order of a list: the best matches are first unless there are many. */
export type Order = NonNullable<ModelSearch['sort']> | 'best'

/** Return the order of a list for which none was chosen. */
export function getDefaultOrder({ q = '', trash }: ModelSearch): Order {
  const hasWords = splitSearch(q).some(({ key, isNegated, values }) => key === '' && !isNegated && values.length > 0)
  return hasWords && !trash ? 'best' : '-created_at'
}

/** Return changed search parameters, without empty and default values. */
export function withChange(search: ModelSearch, change: { [name in keyof ModelSearch]?: unknown }): ModelSearch {
  const next = modelSearch({ ...search, ...change })
  if (next.sort === getDefaultOrder(next)) delete next.sort
  return next
}
