// The grammar of searches, as the registry reads it (wire/search/grammar.py has the rules; both are tested with the same cases):
// splits a search into tokens, and changes the values of its qualifiers.

import { SEARCH_QUALIFIERS } from '@/generated/fieldLimits'

export type Qualifier = (typeof SEARCH_QUALIFIERS)[number]

export interface SearchToken {
  /** As it was typed. */
  text: string
  /** Empty for words. */
  key: Qualifier | ''
  values: string[]
  /** Those of the values that are in quotes. */
  quoted: string[]
  isNegated: boolean
}

// A model must match each of these; of the others, one value is enough.
const SEPARATE_KEYS: readonly string[] = ['tag', 'size', 'added']

// Of these, a value in quotes is the whole value, and one without quotes its first words.
const KEYS_BY_FIRST_WORDS: readonly string[] = ['base']

export const SPACES = ' \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const GAP = new RegExp(`[${SPACES}]*`, 'y')
const BEGINNING = new RegExp(`(-(?=[\\p{L}\\p{N}"]))?(?:(${SEARCH_QUALIFIERS.join('|')}):)?`, 'iuy')
const QUOTED = new RegExp(`"(.*?)"(?=[${SPACES}|]|$)`, 'y')
const PLAIN = new RegExp(`[^${SPACES}|]*`, 'y')
const IS_PLAIN = new RegExp(`^(?!")[^${SPACES}|]+$`)
const SPACE_RUN = new RegExp(`[${SPACES}]+`, 'g')

/** Return the tokens of a search in order; every text has a meaning. */
export function splitSearch(text: string): SearchToken[] {
  const tokens: SearchToken[] = []
  let position = matchAt(GAP, text, 0).end
  while (position < text.length) {
    const begin = position
    const beginning = matchAt(BEGINNING, text, begin)
    const [, minus, key = ''] = beginning.groups
    const read = readValues(text, beginning.end)
    tokens.push({
      text: text.slice(begin, read.end),
      key: key.toLowerCase() as Qualifier | '',
      values: read.values,
      quoted: read.quoted,
      isNegated: minus !== undefined,
    })
    position = matchAt(GAP, text, read.end).end
  }
  return tokens
}

function readValues(text: string, begin: number): { values: string[]; quoted: string[]; end: number } {
  const values = new Set<string>()
  const unquoted = new Set<string>()
  for (let position = begin; ; position += 1) {
    const quoted = matchAt(QUOTED, text, position)
    const end = quoted.isMatch ? quoted.end : matchAt(PLAIN, text, position).end
    const value = quoted.isMatch ? (quoted.groups[1] ?? '') : text.slice(position, end)
    const cleaned = value.replace(SPACE_RUN, ' ').trim()
    if (cleaned) values.add(cleaned)
    if (cleaned && !quoted.isMatch) unquoted.add(cleaned)
    if (text[end] !== '|') return { values: [...values], quoted: [...values].filter((one) => !unquoted.has(one)), end }
    position = end
  }
}

function matchAt(pattern: RegExp, text: string, position: number) {
  pattern.lastIndex = position
  const match = pattern.exec(text)
  return {
    isMatch: match !== null,
    groups: match ? [...match] : ([] as (string | undefined)[]),
    end: match ? position + match[0].length : position,
  }
}

/** Return a value as it is written in a search, in quotes if it needs them. */
export function quoteValue(value: string): string {
  return IS_PLAIN.test(value) ? value : `"${value}"`
}

/** Return a value of a qualifier as it is written in a search for exactly this value. */
export function writeValue(key: Qualifier, value: string): string {
  return KEYS_BY_FIRST_WORDS.includes(key) ? `"${value}"` : quoteValue(value)
}

export function writeToken(key: Qualifier, value: string): string {
  return `${key}:${writeValue(key, value)}`
}

/** Return a token with some of its values, which keep their quotes or stay without, and a whole value. */
function changeValues(token: SearchToken, key: Qualifier, kept: readonly string[], added?: string): { text: string } {
  const write = (value: string) => (token.quoted.includes(value) ? writeValue(key, value) : quoteValue(value))
  const values = [...kept.map(write), ...(added === undefined ? [] : [writeValue(key, added)])]
  return { text: values.length ? `${key}:${values.join('|')}` : '' }
}

export function joinTokens(tokens: readonly { text: string }[]): string {
  return tokens
    .map(({ text }) => text)
    .join(' ')
    .trim()
}

/** Return whether a value of a token is only the first words of what is searched. */
export function isFirstWords({ key, quoted }: SearchToken, value: string): boolean {
  return KEYS_BY_FIRST_WORDS.includes(key) && !quoted.includes(value)
}

function getWholeValues(token: SearchToken): string[] {
  return token.values.filter((value) => !isFirstWords(token, value))
}

/** Return the whole values that the search asks for with a qualifier, as they were typed, by their lower case. */
export function getValues(q: string, key: Qualifier): ReadonlyMap<string, string> {
  const tokens = splitSearch(q).filter((token) => token.key === key && !token.isNegated)
  return new Map(tokens.flatMap((token) => getWholeValues(token).map((value) => [value.toLowerCase(), value] as const)))
}

/** Return the search without what it asks for with a qualifier; exclusions stay. */
export function removeQualifier(q: string, key: Qualifier): string {
  return joinTokens(splitSearch(q).filter((token) => token.key !== key || token.isNegated))
}

/** Add a whole value of a qualifier to the search, or remove it from wherever it is. */
export function toggleValue(q: string, key: Qualifier, value: string): string {
  const tokens = splitSearch(q)
  const wanted = value.toLowerCase()
  const isSame = (other: string) => other.toLowerCase() === wanted
  const isOfKey = (token: SearchToken) => token.key === key && !token.isNegated
  if (tokens.some((token) => isOfKey(token) && getWholeValues(token).some(isSame))) {
    const kept = tokens.map((token) => {
      if (!isOfKey(token)) return token
      const values = token.values.filter((other) => !isSame(other) || isFirstWords(token, other))
      return changeValues(token, key, values)
    })
    return joinTokens(kept.filter(({ text }) => text))
  }
  const open = SEPARATE_KEYS.includes(key) ? undefined : tokens.find(isOfKey)
  if (!open) return joinTokens([{ text: writeToken(key, value) }, ...tokens])
  const others = open.values.filter((other) => !isSame(other))
  const extended = changeValues(open, key, others, value)
  return joinTokens(tokens.map((token) => (token === open ? extended : token)))
}
