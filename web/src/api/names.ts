// The registry's rule of names that people choose: something visible, and nothing that changes the text around it.

import { MAX_LONG_NAME_LENGTH } from '@/generated/fieldLimits'
import { NAME_PATTERN, UNREADABLE_PATTERN } from '@/generated/names'

const readable = new RegExp(NAME_PATTERN, 'u')
const unreadable = new RegExp(UNREADABLE_PATTERN, 'gu')

export function isReadableName(text: string): boolean {
  return readable.test(text)
}

/** Return a text as a display name: characters that no name may have are replaced, and long texts are cut. */
export function cleanName(text: string): string {
  const name = [...text.replace(/\p{Cs}/gu, '_').replace(unreadable, '_')].slice(0, MAX_LONG_NAME_LENGTH).join('')
  return isReadableName(name) ? name : '_'
}
