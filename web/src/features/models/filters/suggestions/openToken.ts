// What is being typed at the end of a search: a word, or a value of a qualifier, whose quotes may still be open.

import { type Qualifier, SPACES, writeValue } from '@/features/models/filters/searchText'
import { SEARCH_QUALIFIERS } from '@/generated/fieldLimits'

const END_OF_QUALIFIER = new RegExp(
  `(?:^|[${SPACES}])(-?(${SEARCH_QUALIFIERS.join('|')}):(?:(?:"[^"]*"|[^"|${SPACES}]*)\\|)*)("[^"]*|[^"|${SPACES}][^|${SPACES}]*|)$`,
  'iu',
)
const END_OF_WORD = new RegExp(`(?:^|[${SPACES}])(-?)(\\p{L}{2,})$`, 'u')

/** A value that is being typed. */
export interface OpenValue {
  key: Qualifier
  value: string
  /** What is before the value: the rest of the search, and of its token. */
  before: string
  /** Where its token begins. */
  begin: number
}

export function findOpenValue(typed: string): OpenValue | undefined {
  const match = END_OF_QUALIFIER.exec(typed)
  if (!match) return undefined
  const [, head = '', key = '', rest = ''] = match
  const end = typed.length - rest.length
  return {
    key: key.toLowerCase() as Qualifier,
    value: rest.replace(/^"/, ''),
    before: typed.slice(0, end),
    begin: end - head.length,
  }
}

/** Return the search with a value in place of the one that is being typed, complete. */
export function completeValue({ key, before }: OpenValue, value: string): string {
  return `${before}${writeValue(key, value)} `
}

/** Return the qualifiers whose names begin with the word that is being typed, and the searches that begin with them. */
export function completeNames(typed: string): { name: Qualifier; text: string }[] {
  const match = END_OF_WORD.exec(typed)
  if (!match) return []
  const [, , word = ''] = match
  const before = typed.slice(0, typed.length - word.length)
  return SEARCH_QUALIFIERS.filter((name) => name.startsWith(word.toLowerCase())).map((name) => ({
    name,
    text: `${before}${name}:`,
  }))
}
