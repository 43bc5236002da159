// The list of suggestions below the search box: when it is open, which entry is chosen, and its keys (ARIA combobox).

import { type KeyboardEvent, useId, useState } from 'react'
import { type Suggestion, useSuggestions } from '@/features/models/filters/suggestions/useSuggestions'

interface Scope {
  typed: string
  /** The search without what is being typed. */
  q: string
  isTrash: boolean
}

/** `onChoose` gets the text of a suggestion in place of the typed one. No entry is active before an arrow key. */
export function useSuggestionList({ typed, q, isTrash }: Scope, onChoose: (text: string) => void) {
  const listId = useId()
  const [isOpen, setOpen] = useState(false)
  const [activeText, setActiveText] = useState<string>()
  const items = useSuggestions(isOpen ? typed : '', q, isTrash)
  const active = items.findIndex(({ text }) => text === activeText)
  const close = () => {
    setOpen(false)
    setActiveText(undefined)
  }
  const choose = ({ text }: Suggestion) => {
    setActiveText(undefined)
    onChoose(text)
  }
  const move = (step: number) => {
    const next = active < 0 && step < 0 ? items.length - 1 : (active + step + items.length) % items.length
    setActiveText(items[next]?.text)
  }
  /** Return whether the key was for the list. */
  const onKeyDown = (event: KeyboardEvent): boolean => {
    const chosen = items[active]
    if (items.length === 0) return false
    if (event.key === 'ArrowDown') move(1)
    else if (event.key === 'ArrowUp') move(-1)
    else if (event.key === 'Enter' && chosen) choose(chosen)
    else if (event.key === 'Escape') close()
    else {
      if (event.key === 'Enter') close()
      return false
    }
    event.preventDefault()
    return true
  }
  return {
    open: () => setOpen(true),
    close,
    onKeyDown,
    inputProps: {
      role: 'combobox',
      'aria-autocomplete': 'list',
      'aria-expanded': items.length > 0,
      'aria-controls': items.length > 0 ? listId : undefined,
      'aria-activedescendant': active < 0 ? undefined : optionId(listId, active),
    } as const,
    listProps: { id: listId, items, active, onChoose: choose },
  }
}

export function optionId(listId: string, place: number): string {
  return `${listId}-${place}`
}
