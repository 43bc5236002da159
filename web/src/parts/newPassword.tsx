// A new password, typed twice, with words on how easily it is guessed.

import { PasswordInput, Text } from '@mantine/core'
import { type ReactNode, useState } from 'react'

const SHORTEST = 8
const LONGEST = 128

interface NewPassword {
  value: string
  fields: ReactNode
  /** Whether it may be sent; if not, the fields say why from now on. */
  checked(): boolean
}

/** The fields of a new password, and what was typed. `refusal` is what the registry said about it. */
export function useNewPassword(refusal?: string): NewPassword {
  const [value, setValue] = useState('')
  const [again, setAgain] = useState('')
  const [isAsked, setAsked] = useState(false)
  const isFit = value.length >= SHORTEST && value.length <= LONGEST
  const isShort = isAsked && !isFit && `${SHORTEST} to ${LONGEST} characters.`
  const isOther = isAsked && isFit && again !== value && 'This is not the same.'
  const fields = (
    <>
      <PasswordInput
        label="New password"
        description={<Strength password={value} />}
        autoComplete="new-password"
        required
        value={value}
        error={isShort || refusal}
        onChange={(event) => setValue(event.currentTarget.value)}
      />
      <PasswordInput
        label="The same again"
        autoComplete="new-password"
        required
        value={again}
        error={isOther}
        onChange={(event) => setAgain(event.currentTarget.value)}
      />
    </>
  )
  const checked = () => {
    setAsked(true)
    return isFit && again === value
  }
  return { value, fields, checked }
}

function Strength({ password }: { password: string }) {
  return (
    <Text span size="xs" role="status">
      {password ? strength(password) : 'At least 8 characters; a sentence is best.'}
    </Text>
  )
}

/** In words, by the number of guesses: length counts most, and repeating counts nothing. */
function strength(password: string): string {
  if (password.length < SHORTEST) return `Too short: ${SHORTEST - password.length} more to go.`
  const different = new Set(password.toLowerCase()).size
  const bits = Math.min(password.length, different * 2) * Math.log2(alphabet(password))
  if (bits < 45 || different < 5) return 'Weak: easily guessed.'
  if (bits < 65) return 'Fair: longer is better.'
  return bits < 90 ? 'Good.' : 'Strong.'
}

const ALPHABETS: [RegExp, number][] = [
  [/\p{Ll}/u, 26],
  [/\p{Lu}/u, 26],
  [/\p{N}/u, 10],
  [/[^\p{L}\p{N}]/u, 20],
]

function alphabet(password: string): number {
  return ALPHABETS.filter(([letters]) => letters.test(password)).reduce((sum, [, size]) => sum + size, 0) || 26
}
