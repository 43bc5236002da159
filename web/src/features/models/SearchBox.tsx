// Search while typing: the address changes after a pause, and outdated requests are cancelled.

import { CloseButton, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'
import { MAX_SEARCH_LENGTH } from '@/generated/fieldLimits'

const PAUSE_MILLISECONDS = 200

export function SearchBox({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const [typed, setTyped] = useState(q)
  const lastText = useRef(q)
  const reportChange = useDebouncedCallback((text: string) => {
    lastText.current = text
    onSearch(text)
  }, PAUSE_MILLISECONDS)
  useEffect(() => {
    // The address was changed from elsewhere: the back button, or "clear".
    if (q !== lastText.current) setTyped(q)
    lastText.current = q
  }, [q])
  const type = (text: string) => {
    setTyped(text)
    reportChange(text.trim())
  }
  return (
    <TextInput
      type="search"
      aria-label="Search models"
      placeholder="Name, path, tag or hash"
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={typed && <CloseButton size="sm" aria-label="Clear search" onClick={() => type('')} />}
      maxLength={MAX_SEARCH_LENGTH}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
    />
  )
}
