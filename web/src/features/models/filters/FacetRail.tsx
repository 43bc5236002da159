// The filters beside the gallery: values of each facet with counts, which write into the search text.

import { IconChevronDown, IconChevronUp } from '@tabler/icons-react'
import { useId, useState } from 'react'
import { AttentionValues } from '@/features/models/filters/AttentionValues'
import { FacetValues, type OnToggle } from '@/features/models/filters/FacetValues'
import classes from '@/features/models/filters/filters.module.css'
import { UNUSED_TIMES } from '@/features/models/filters/labels'
import { getValues, type Qualifier } from '@/features/models/filters/searchText'
import { type Facet, useFacets } from '@/features/models/filters/useFacets'

interface Section {
  title: string
  key: Qualifier
  /** The name of the facet that has its values; undefined if they are always the same. */
  facet: 'base' | 'type' | 'state' | 'tag' | 'by' | undefined
  isClosed?: boolean
}

const SECTIONS: readonly Section[] = [
  { title: 'Base model', key: 'base', facet: 'base' },
  { title: 'Type', key: 'type', facet: 'type' },
  { title: 'Attention', key: 'is', facet: undefined },
  { title: 'On machines', key: 'state', facet: 'state' },
  { title: 'Tags', key: 'tag', facet: 'tag' },
  { title: 'Added by', key: 'by', facet: 'by', isClosed: true },
  { title: 'Unused', key: 'unused', facet: undefined, isClosed: true },
]

const UNUSED_VALUES = UNUSED_TIMES.map((value) => ({ value }))

interface FacetRailProps {
  q: string
  isTrash: boolean
  onToggle: OnToggle
}

export function FacetRail({ q, isTrash, onToggle }: FacetRailProps) {
  const { facets } = useFacets({ q, isTrash })
  return SECTIONS.map((section) => (
    <FacetSection
      key={section.key}
      section={section}
      facet={facets?.find(({ name }) => name === section.facet)}
      q={q}
      isTrash={isTrash}
      onToggle={onToggle}
    />
  ))
}

function FacetSection({
  section,
  facet,
  q,
  isTrash,
  onToggle,
}: FacetRailProps & { section: Section; facet: Facet | undefined }) {
  const chosen = getValues(q, section.key)
  const [isOpen, setOpen] = useState(!section.isClosed || chosen.size > 0)
  const id = useId()
  const Chevron = isOpen ? IconChevronUp : IconChevronDown
  const isEmpty = section.facet !== undefined && facet?.value_list.length === 0 && chosen.size === 0
  if (isEmpty) return null
  const shared = { qualifier: section.key, title: section.title, chosen, q, isTrash, onToggle }
  return (
    <fieldset className={classes.section}>
      <legend className={classes.legend}>
        <button
          type="button"
          className={classes.toggle}
          aria-expanded={isOpen}
          aria-controls={id}
          onClick={() => setOpen(!isOpen)}
        >
          {section.title}
          <Chevron size={14} aria-hidden />
        </button>
      </legend>
      <div id={id} hidden={!isOpen}>
        {isOpen && section.key === 'is' && <AttentionValues {...shared} />}
        {isOpen && section.key === 'unused' && (
          <FacetValues {...shared} name={undefined} values={UNUSED_VALUES} isCapped={false} hasMore={false} />
        )}
        {isOpen && section.facet !== undefined && (
          <FacetValues
            name={section.facet}
            values={facet?.value_list ?? []}
            isCapped={facet?.is_capped ?? false}
            hasMore={facet?.has_more ?? false}
            {...shared}
          />
        )}
      </div>
    </fieldset>
  )
}
