// A field for several short words: tags of a model, labels of a machine or of what needs them.

import { TagsInput, type TagsInputProps } from '@mantine/core'
import { useState } from 'react'

interface Words extends Pick<TagsInputProps, 'maxLength' | 'maxTags' | 'splitChars' | 'w'> {
  label: string
  description?: string
  value: string[]
  onChange: (words: string[]) => void
  /** Words to choose from; others can be typed. */
  known?: string[]
  error?: string | false | undefined
  placeholder?: string
}

export function WordList({ label, description, value, onChange, known = [], error, placeholder, ...rest }: Words) {
  const [typed, setTyped] = useState('')
  return (
    <TagsInput
      {...rest}
      label={label}
      description={description}
      value={value}
      onChange={onChange}
      searchValue={typed}
      onSearchChange={setTyped}
      // Suggestions lie over what is below the field: they come with the first letter, and go when a word is taken.
      data={typed ? known : []}
      error={error}
      placeholder={placeholder}
      maxDropdownHeight={220}
      acceptValueOnBlur
      clearable
      clearButtonProps={{ 'aria-label': `Remove all: ${label}` }}
      comboboxProps={{ withinPortal: true }}
    />
  )
}
