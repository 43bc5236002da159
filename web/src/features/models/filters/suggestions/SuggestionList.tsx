// The suggestions as a list over the page, so that nothing moves.

import classes from '@/features/models/filters/suggestions/suggestions.module.css'
import { optionId } from '@/features/models/filters/suggestions/useSuggestionList'
import type { Suggestion } from '@/features/models/filters/suggestions/useSuggestions'

interface SuggestionListProps {
  id: string
  items: readonly Suggestion[]
  active: number
  onChoose: (suggestion: Suggestion) => void
}

export function SuggestionList({ id, items, active, onChoose }: SuggestionListProps) {
  if (items.length === 0) return null
  return (
    <div id={id} role="listbox" aria-label="Suggestions" className={classes.list}>
      {items.map((item, place) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the focus stays in the field, whose keys choose.
        <div
          key={item.text}
          id={optionId(id, place)}
          role="option"
          tabIndex={-1}
          aria-selected={place === active}
          className={classes.option}
          // A click must not take the focus from the field.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onChoose(item)}
        >
          <bdi className={classes.label}>{item.label}</bdi>
          <span className={classes.detail}>{item.detail}</span>
        </div>
      ))}
    </div>
  )
}
