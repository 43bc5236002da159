// Fields for a new password, typed twice, with a strength rating.

import { PasswordInput, Text } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { formatCount } from '@/components/format'
import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '@/generated/fieldLimits'

interface NewPassword {
  value: string
  fields: ReactNode
  /** Return whether the password can be sent; if not, the fields show the errors. */
  validate(): boolean
}

/** Return the fields and the typed password. `serverError` is the registry's message about it. */
export function useNewPassword(serverError?: string): NewPassword {
  const [value, setValue] = useState('')
  const [repeated, setRepeated] = useState('')
  const [isValidated, setValidated] = useState(false)
  const hasValidLength = value.length >= MIN_PASSWORD_LENGTH && value.length <= MAX_PASSWORD_LENGTH
  const lengthError = isValidated && !hasValidLength && `${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters.`
  const repeatError = isValidated && hasValidLength && repeated !== value && 'The passwords do not match.'
  const fields = (
    <>
      <PasswordInput
        label="New password"
        description={<Strength password={value} />}
        autoComplete="new-password"
        required
        value={value}
        error={lengthError || serverError}
        onChange={(event) => setValue(event.currentTarget.value)}
      />
      <PasswordInput
        label="Repeat password"
        autoComplete="new-password"
        required
        value={repeated}
        error={repeatError}
        onChange={(event) => setRepeated(event.currentTarget.value)}
      />
    </>
  )
  const checked = () => {
    setValidated(true)
    return hasValidLength && repeated === value
  }
  return { value, fields, validate: checked }
}

function Strength({ password }: { password: string }) {
  return (
    <Text span size="xs" role="status">
      {password ? describeStrength(password) : `At least ${MIN_PASSWORD_LENGTH} characters. A sentence works well.`}
    </Text>
  )
}

/** Rate the password by the estimated number of guesses; repeated characters add nothing. */
function describeStrength(password: string): string {
  if (password.length < MIN_PASSWORD_LENGTH)
    return `Too short: ${formatCount(MIN_PASSWORD_LENGTH - password.length, 'more character')} needed.`
  const different = new Set(password.toLowerCase()).size
  const bits = Math.min(password.length, different * 2) * Math.log2(getAlphabetSize(password))
  if (bits < 45 || different < 5) return 'Weak: easy to guess.'
  if (bits < 65) return 'Fair: longer is better.'
  return bits < 90 ? 'Good.' : 'Strong.'
}

const ALPHABETS: [RegExp, number][] = [
  [/\p{Ll}/u, 26],
  [/\p{Lu}/u, 26],
  [/\p{N}/u, 10],
  [/[^\p{L}\p{N}]/u, 20],
]

function getAlphabetSize(password: string): number {
  return ALPHABETS.filter(([letters]) => letters.test(password)).reduce((sum, [, size]) => sum + size, 0) || 26
}
