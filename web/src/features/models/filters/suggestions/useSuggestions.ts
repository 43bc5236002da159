// Suggestions for what is being typed at the end of a search: names of qualifiers, and values with their counts.

import { formatPartialCount } from '@/components/format'
import { hasPrefix, labelOf, QUALIFIER_TEXTS, UNUSED_TIMES } from '@/features/models/filters/labels'
import type { Qualifier } from '@/features/models/filters/searchText'
import { completeNames, completeValue, findOpenValue } from '@/features/models/filters/suggestions/openToken'
import { useMachineNames } from '@/features/models/filters/suggestions/useMachineNames'
import { type FacetName, useFacetSearch } from '@/features/models/filters/useFacets'

const MAX_SUGGESTIONS = 8

const FACETS: Partial<Record<Qualifier, FacetName>> = {
  type: 'type',
  base: 'base',
  tag: 'tag',
  by: 'by',
  state: 'state',
}
const FIXED: Partial<Record<Qualifier, readonly string[]>> = {
  is: ['missing', 'pending', 'damaged', 'disabled', 'unpreviewed'],
  by: ['me'],
  missing: ['any'],
  unused: UNUSED_TIMES,
}

export interface Suggestion {
  /** The typed text, once this is chosen. */
  text: string
  label: string
  /** What it means, or how many models have it. */
  detail: string
}

interface Value {
  value: string
  count?: number
}

/** Return the suggestions for a typed text; the values are those of the models that the rest of the search finds. */
export function useSuggestions(typed: string, q: string, isTrash: boolean): Suggestion[] {
  const open = findOpenValue(typed)
  const key = open?.key
  const facet = key && FACETS[key]
  const found = useFacetSearch({ q, isTrash }, facet, open?.value.trim() ?? '')
  const machines = useMachineNames(key === 'machine' || key === 'missing')
  if (!open)
    return completeNames(typed).map(({ name, text }) => ({ text, label: `${name}:`, detail: QUALIFIER_TEXTS[name] }))
  const isMachine = key === 'machine' || key === 'missing'
  const values: Value[] = [
    ...(FIXED[open.key] ?? []).map((value) => ({ value })),
    ...(isMachine ? machines.map((value) => ({ value })) : facet ? (found.data?.value_list ?? []) : []),
  ]
  // The values of what was typed before are shown until those of the request are there.
  return values
    .filter(({ value }) => hasPrefix([value, labelOf(open.key, value)], open.value))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ value, count }) => ({
      text: completeValue(open, value),
      label: labelOf(open.key, value),
      detail: count === undefined ? '' : formatPartialCount(count, found.data?.is_capped === true),
    }))
}
