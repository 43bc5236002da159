// The page's rule of names gives the results of the registry's, by the cases that its tests share.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { cleanName, isReadableName } from '../src/api/names'

interface SharedCases {
  accepted: string[]
  unreadable: string[]
  invisible: string[]
  cleaned: [text: string, name: string][]
}

const FILE = join(import.meta.dirname, '../../tests/wire/name_cases.json')
const shared = JSON.parse(readFileSync(FILE, 'utf8')) as SharedCases

test('isReadableName gives the recorded result for every shared case', { tag: '@core' }, () => {
  expect(shared.accepted.filter((name) => !isReadableName(name))).toEqual([])
  expect([...shared.unreadable, ...shared.invisible].filter(isReadableName)).toEqual([])
})

test('cleanName gives the recorded name for every shared case', { tag: '@core' }, () => {
  expect(shared.cleaned.map(([text]) => [text, cleanName(text)])).toEqual(shared.cleaned)
})
