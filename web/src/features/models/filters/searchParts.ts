// The two parts of the search box: qualifiers that are complete are chips, and the rest is text.

import { joinTokens, type SearchToken, splitSearch } from '@/features/models/filters/searchText'
import { findOpenValue } from '@/features/models/filters/suggestions/openToken'

export interface SearchParts {
  chips: SearchToken[]
  typed: string
}

export function splitParts(q: string): SearchParts {
  const tokens = splitSearch(q)
  const chips = tokens.filter(
    (token, place) => isChip(token) && tokens.findIndex(({ text }) => text === token.text) === place,
  )
  return { chips, typed: joinTokens(tokens.filter((token) => !isChip(token))) }
}

/** Make chips of the qualifiers that are complete: a space follows them. The one that is being typed stays text. */
export function takeQualifiers(chips: SearchToken[], typed: string): SearchParts {
  const [tokens, rest] = splitTyped(typed)
  const taken = tokens.filter(isChip)
  if (taken.length === 0) return { chips, typed: typed.trim() ? typed : '' }
  const added = taken.filter((token) => !chips.some(({ text }) => text === token.text))
  const kept = tokens.filter((token) => !taken.includes(token))
  const text = joinTokens([...kept, { text: rest }])
  // Words that are typed next stay apart from those before them.
  return { chips: [...chips, ...added], typed: text && !rest ? `${text} ` : text }
}

/** Make chips of all qualifiers, also of the one at the end, whose quotes are closed. */
export function takeAllQualifiers({ chips, typed }: SearchParts): SearchParts {
  const open = findOpenValue(typed)
  const isQuoted = open?.value && typed[open.before.length] === '"'
  return takeQualifiers(chips, `${typed}${isQuoted ? '"' : ''} `)
}

/** Return the search without a qualifier that is still being typed, as its value is not known yet. */
export function joinParts({ chips, typed }: SearchParts): string {
  const [tokens, rest] = splitTyped(typed)
  const isWord = splitSearch(rest)[0]?.key === ''
  return joinTokens([...chips, ...tokens, { text: isWord ? rest : '' }])
}

/** Split what is typed into tokens that are complete, and the last one, which no space follows. */
function splitTyped(typed: string): [SearchToken[], string] {
  const open = findOpenValue(typed)
  if (open) return [splitSearch(typed.slice(0, open.begin)), typed.slice(open.begin)]
  const tokens = splitSearch(typed)
  const last = /\s$/.test(typed) ? undefined : tokens.pop()
  return [tokens, last?.text ?? '']
}

function isChip({ key, values }: SearchToken): boolean {
  return key !== '' && values.length > 0
}
