// The values of one facet: the most frequent ones, those that are chosen, and a search within the others.

import { TextInput, UnstyledButton } from '@mantine/core'
import { useState } from 'react'
import { formatPartialCount } from '@/components/format'
import classes from '@/features/models/filters/filters.module.css'
import { hasPrefix, labelOf } from '@/features/models/filters/labels'
import type { Qualifier } from '@/features/models/filters/searchText'
import { type FacetName, useFacetSearch } from '@/features/models/filters/useFacets'
import boxes from '@/features/models/models.module.css'

const SHOWN_VALUES = 6

interface FacetValue {
  value: string
  count?: number
  /** Whether the registry stopped counting at this number. */
  isAtLeast?: boolean
}

/** Adds a value to the search, or removes it. */
export type OnToggle = (qualifier: Qualifier, value: string) => void

interface FacetValuesProps {
  name: FacetName | undefined
  qualifier: Qualifier
  title: string
  values: readonly FacetValue[]
  isCapped: boolean
  hasMore: boolean
  chosen: ReadonlyMap<string, string>
  q: string
  isTrash: boolean
  onToggle: OnToggle
}

export function FacetValues(props: FacetValuesProps) {
  const { name, qualifier, title, values, isCapped, hasMore, chosen, q, isTrash, onToggle } = props
  const [isWhole, setWhole] = useState(false)
  const [prefix, setPrefix] = useState('')
  const found = useFacetSearch({ q, isTrash }, prefix ? name : undefined, prefix)
  const isChosen = ({ value }: FacetValue) => chosen.has(value.toLowerCase())
  const listed = withChosen(values, chosen)
  const first = listed.filter((one, place) => place < SHOWN_VALUES || isChosen(one))
  const known = isWhole ? listed : first
  // Until the registry has searched all values, those of the list are.
  const begun = known.filter(({ value }) => hasPrefix([value, labelOf(qualifier, value)], prefix))
  const searched = found.isCurrent ? found.data : undefined
  const shown: readonly FacetValue[] = !prefix ? known : (searched?.value_list ?? begun)
  const isCountCapped = prefix && searched ? searched.is_capped : isCapped
  return (
    <>
      {isWhole && name && (
        <TextInput
          type="search"
          size="xs"
          className={classes.within}
          aria-label={`Search in ${title}`}
          placeholder="Search"
          value={prefix}
          onChange={(event) => setPrefix(event.currentTarget.value)}
        />
      )}
      <div className={isWhole ? classes.all : undefined}>
        {shown.map((one) => (
          <label key={one.value} className={classes.value} data-chosen={isChosen(one) || undefined}>
            <input
              type="checkbox"
              className={`${boxes.box} ${classes.box}`}
              checked={isChosen(one)}
              onChange={() => onToggle(qualifier, one.value)}
            />
            <bdi className={classes.label}>{labelOf(qualifier, one.value)}</bdi>
            {one.count !== undefined && (
              <span className={classes.count}>{formatPartialCount(one.count, one.isAtLeast ?? isCountCapped)}</span>
            )}
          </label>
        ))}
        {prefix && searched && shown.length === 0 && <p className={classes.none}>No values match.</p>}
      </div>
      {listed.length > SHOWN_VALUES && (
        <UnstyledButton className={classes.more} aria-expanded={isWhole} onClick={() => toggle()}>
          {isWhole ? 'Show fewer' : hasMore ? 'Show more' : `Show all ${listed.length}`}
        </UnstyledButton>
      )}
    </>
  )

  function toggle(): void {
    setWhole(!isWhole)
    setPrefix('')
  }
}

/** Add chosen values that the facet does not list, because no model has them or because it lists the most frequent. */
function withChosen(values: readonly FacetValue[], chosen: ReadonlyMap<string, string>): FacetValue[] {
  const known = new Set(values.map(({ value }) => value.toLowerCase()))
  return [...values, ...[...chosen].filter(([lower]) => !known.has(lower)).map(([, value]) => ({ value }))]
}
