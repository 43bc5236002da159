// Search while typing: words are typed, and complete qualifiers become chips. The address changes after a pause, and
// outdated requests are cancelled.

import { CloseButton } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import { isCharacterKey } from '@/components/characterKeys'
import { TokenChip } from '@/features/models/filters/Chips'
import classes from '@/features/models/filters/filters.module.css'
import {
  joinParts,
  type SearchParts,
  splitParts,
  takeAllQualifiers,
  takeQualifiers,
} from '@/features/models/filters/searchParts'
import { SuggestionList } from '@/features/models/filters/suggestions/SuggestionList'
import { useSuggestionList } from '@/features/models/filters/suggestions/useSuggestionList'
import { MAX_SEARCH_LENGTH } from '@/generated/fieldLimits'

const PAUSE_MILLISECONDS = 80

interface SearchBoxProps {
  q: string
  isTrash: boolean
  error: string | undefined
  onSearch: (q: string) => void
}

export function SearchBox({ q, isTrash, error, onSearch }: SearchBoxProps) {
  const { shown, change, flush } = useSearchParts(q, onSearch)
  const { chips, typed } = shown
  const input = useSlashKey()
  const errorId = useId()
  const suggestions = useSuggestionList({ typed, q: joinParts(shown), isTrash }, (text) =>
    change(takeQualifiers(chips, text)),
  )
  const onBlur = () => {
    suggestions.close()
    const taken = takeAllQualifiers(shown)
    if (taken.chips.length > chips.length || taken.typed !== typed.trim()) change(taken)
    // A click that took the focus changes the search that is in the address.
    flush()
  }
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (suggestions.onKeyDown(event)) return
    if (event.key === 'Enter') change(takeAllQualifiers(shown))
    if (event.key === 'Backspace' && event.currentTarget.selectionEnd === 0 && chips.length > 0) {
      change({ chips: chips.slice(0, -1), typed })
    }
  }
  return (
    <search aria-label="Models" className={classes.search}>
      <div className={classes.find} data-invalid={error !== undefined || undefined}>
        <IconSearch size={16} stroke={1.75} aria-hidden className={classes.icon} />
        <div className={classes.chipsInside}>
          {chips.map((chip) => (
            <TokenChip
              key={chip.text}
              token={chip}
              onRemove={() => change({ chips: chips.filter((other) => other !== chip), typed })}
            />
          ))}
        </div>
        <input
          ref={input}
          type="text"
          inputMode="search"
          enterKeyHint="search"
          autoComplete="off"
          spellCheck={false}
          className={classes.input}
          aria-label="Search models"
          aria-invalid={error !== undefined}
          aria-describedby={error === undefined ? undefined : errorId}
          placeholder="Search by name, trigger word, tag or hash"
          maxLength={MAX_SEARCH_LENGTH}
          value={typed}
          onChange={(event) => {
            change(takeQualifiers(chips, event.currentTarget.value))
            suggestions.open()
          }}
          onBlur={onBlur}
          onKeyDown={onKeyDown}
          {...suggestions.inputProps}
        />
        {typed ? (
          <CloseButton size="sm" aria-label="Clear search" onClick={() => change({ chips, typed: '' })} />
        ) : (
          <kbd className={classes.key} aria-hidden>
            /
          </kbd>
        )}
      </div>
      <SuggestionList {...suggestions.listProps} />
      {error !== undefined && (
        <div id={errorId} className={classes.error} role="alert">
          {error}
        </div>
      )}
    </search>
  )
}

/** The parts of the search in the address; changes of them are reported after a pause. */
function useSearchParts(q: string, onSearch: (q: string) => void) {
  const [shown, setShown] = useState(() => splitParts(q))
  const lastText = useRef(q)
  const report = useDebouncedCallback((text: string) => {
    if (text === lastText.current) return
    lastText.current = text
    onSearch(text)
  }, PAUSE_MILLISECONDS)
  useEffect(() => {
    if (q === lastText.current) return
    // The address was changed from elsewhere: the back button, a facet, or "clear".
    report.cancel()
    setShown(splitParts(q))
    lastText.current = q
  }, [q, report])
  const change = (parts: SearchParts) => {
    setShown(parts)
    report(joinParts(parts))
  }
  // A flush is made anew by each report.
  return { shown, change, flush: () => report.flush() }
}

/** Focus the field when `/` is pressed anywhere. */
function useSlashKey() {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (!isCharacterKey(event, '/')) return
      event.preventDefault()
      input.current?.focus()
      input.current?.select()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
  return input
}
