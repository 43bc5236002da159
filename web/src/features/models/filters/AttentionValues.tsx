// The values of `is:` that need attention, with the number of models of each.

import { type ComponentProps, useEffect, useState } from 'react'
import { FacetValues } from '@/features/models/filters/FacetValues'
import { removeQualifier } from '@/features/models/filters/searchText'
import { useAttention } from '@/features/models/filters/useFacets'
import { MAX_COUNTED_BY_INDEX, MAX_COUNTED_BY_READING } from '@/generated/paging'

const VALUES = ['missing', 'pending', 'damaged', 'disabled']
// The list and the facets are asked for first: a browser sends few requests at once.
const PAUSE_MILLISECONDS = 400

type AttentionValuesProps = Omit<ComponentProps<typeof FacetValues>, 'name' | 'values' | 'isCapped' | 'hasMore'>

/** The values with the counts that the search has with each in place of others, after a pause. */
export function AttentionValues(props: AttentionValuesProps) {
  const { q, isTrash } = props
  const rest = removeQualifier(q, 'is')
  const { data } = useAttention({ q: useSettled(rest), isTrash })
  // The registry stops counting there, for each value by itself.
  const limit = rest || isTrash ? MAX_COUNTED_BY_READING : MAX_COUNTED_BY_INDEX
  const values = VALUES.map((value) => {
    const count = data && (data.value_list.find((one) => one.value === value)?.count ?? 0)
    return { value, ...(count !== undefined && { count, isAtLeast: count >= limit }) }
  })
  return <FacetValues {...props} name={undefined} values={values} isCapped={false} hasMore={false} />
}

/** Return the text that was the last one for some time; undefined at first. */
function useSettled(text: string): string | undefined {
  const [settled, setSettled] = useState<string>()
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MILLISECONDS)
    return () => clearTimeout(timer)
  }, [text])
  return settled
}
