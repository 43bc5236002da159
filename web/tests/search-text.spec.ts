// The grammar of searches in the page, with the cases that the registry's own grammar is tested with.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { quoteValue, removeQualifier, splitSearch, toggleValue } from '../src/features/models/filters/searchText'

interface Case {
  q: string
  token_list: { text: string; key: string; value_list: string[]; is_negated: boolean; quoted_list: string[] }[]
}

const CASES = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../tests/wire/search_cases.json'), 'utf8'),
) as Case[]

test('the page splits a search into the same tokens as the registry', { tag: '@core' }, () => {
  expect(CASES.length).toBeGreaterThan(30)
  for (const { q, token_list } of CASES) {
    const tokens = splitSearch(q).map(({ text, key, values, isNegated, quoted }) => {
      return { text, key, value_list: values, is_negated: isNegated, quoted_list: quoted }
    })
    expect(tokens, q).toEqual(token_list)
  }
})

for (const [name, q, key, value, changed] of [
  ['is added before the words', 'ink wash', 'type', 'vae', 'type:vae ink wash'],
  ['is quoted if it has spaces', '', 'by', 'Mia Ø', 'by:"Mia Ø"'],
  ['of base: is quoted, since others are its first words', '', 'base', 'Flux.1', 'base:"Flux.1"'],
  ['joins the others of its qualifier', 'base:Pony ink', 'base', 'SDXL 1.0', 'base:Pony|"SDXL 1.0" ink'],
  ['is removed from among others', 'base:"Pony"|SDXL ink', 'base', 'pony', 'base:SDXL ink'],
  ['takes its qualifier with it if it was the last', 'ink base:"Pony"', 'base', 'Pony', 'ink'],
  ['of base: replaces its first words', 'base:SDXL|Flux.1 ink', 'base', 'Flux.1', 'base:SDXL|"Flux.1" ink'],
  ['of tag: is a condition of its own', 'tag:style', 'tag', 'night', 'tag:night tag:style'],
  ['does not touch exclusions', '-base:Pony', 'base', 'Pony', 'base:"Pony" -base:Pony'],
] as const) {
  test(`a value that is toggled ${name}`, () => {
    expect(toggleValue(q, key, value)).toBe(changed)
  })
}

test('removeQualifier removes what is asked for with a qualifier, and keeps exclusions and the rest', {
  tag: '@core',
}, () => {
  expect(removeQualifier('is:damaged|pending ink -is:disabled', 'is')).toBe('ink -is:disabled')
})

test('every value that has no quote before a space is read as it was written', { tag: '@core' }, () => {
  for (const value of ['ink', 'SDXL 1.0', 'a|b', '"a', 'say "hi', '漢字 二', '-x', 'a:b']) {
    expect(splitSearch(`tag:${quoteValue(value)}`)[0]?.values).toEqual([value])
  }
})
