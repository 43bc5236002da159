// An input for several short words: tags, labels and required labels.

import { TagsInput, type TagsInputProps } from '@mantine/core'
import { useState } from 'react'

interface TagsFieldProps extends Pick<TagsInputProps, 'maxLength' | 'maxTags' | 'splitChars' | 'w'> {
  label: string
  description?: string
  value: string[]
  onChange: (words: string[]) => void
  /** Suggested words; others can be typed. */
  suggestions?: string[]
  error?: string | false | undefined
  placeholder?: string
}

export function TagsField({
  label,
  description,
  value,
  onChange,
  suggestions = [],
  error,
  placeholder,
  ...rest
}: TagsFieldProps) {
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
      // Suggestions cover what is below the field, so they are shown only while text is typed.
      data={typed ? suggestions : []}
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
