// Search as one types: the address follows a moment later, and an answer that is no longer wanted is not waited for.

import { CloseButton, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'

const PAUSE_MILLISECONDS = 200
// The registry takes no longer ones.
const MOST_CHARACTERS = 255

export function SearchBox({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const [typed, setTyped] = useState(q)
  const told = useRef(q)
  const tell = useDebouncedCallback((text: string) => {
    told.current = text
    onSearch(text)
  }, PAUSE_MILLISECONDS)
  useEffect(() => {
    // The address was changed from elsewhere: the back button, or "clear".
    if (q !== told.current) setTyped(q)
    told.current = q
  }, [q])
  const type = (text: string) => {
    setTyped(text)
    tell(text.trim())
  }
  return (
    <TextInput
      type="search"
      aria-label="Search models"
      placeholder="Name, path or tag"
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={typed && <CloseButton size="sm" aria-label="Clear the search" onClick={() => type('')} />}
      maxLength={MOST_CHARACTERS}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
    />
  )
}
