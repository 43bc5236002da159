// An input for the name of a base model: it offers the known ones, and any other can be typed.

import { TextInput, type TextInputProps } from '@mantine/core'
import { useId } from 'react'
import { BASE_MODELS } from '@/generated/baseModels'
import { MAX_BASE_MODEL_LENGTH } from '@/generated/fieldLimits'

interface BaseModelFieldProps extends Pick<TextInputProps, 'description'> {
  value: string
  onChange: (name: string) => void
  error: string | undefined
  /** It has the focus when its dialog opens. */
  isFirst?: boolean
}

export function BaseModelField({ onChange, isFirst = false, ...field }: BaseModelFieldProps) {
  const list = useId()
  return (
    <>
      <TextInput
        label="Base model"
        {...field}
        list={list}
        maxLength={MAX_BASE_MODEL_LENGTH}
        onChange={(event) => onChange(event.currentTarget.value)}
        data-autofocus={isFirst || undefined}
      />
      <datalist id={list}>
        {BASE_MODELS.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  )
}
