// A field for several short words: tags of a model, labels of a machine or of what needs them.

import { TagsInput } from '@mantine/core'

interface Words {
  label: string
  description?: string
  value: string[]
  onChange: (words: string[]) => void
  /** Words to choose from; others can be typed. */
  known?: string[]
  error?: string | undefined
  placeholder?: string
}

export function WordList({ label, description, value, onChange, known = [], error, placeholder }: Words) {
  return (
    <TagsInput
      label={label}
      description={description}
      value={value}
      onChange={onChange}
      data={known}
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
