// The page detects model types and suggests paths as the command line does, by the cases that its tests share.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { detectTypeByGguf, detectTypeByTensors } from '../src/features/upload/engine/detectType'
import { findPathProblem, suggestPathByFolders } from '../src/features/upload/engine/suggestPath'
import { isKnownType, suggestType } from '../src/features/upload/engine/suggestType'

interface SharedCases {
  folders: [file: string, modelPath: string | null][]
  tensors: [names: string[], modelType: string | null][]
  /** The first bytes of a file, in hexadecimal digits. */
  gguf: [head: string, modelType: string | null][]
  clean_names: [name: string, clean: string][]
}

const FILE = join(import.meta.dirname, '../../tests/comfyui/model_type_cases.json')
const shared = JSON.parse(readFileSync(FILE, 'utf8')) as SharedCases

test('suggestPathByFolders gives the recorded path for every shared case', { tag: '@core' }, () => {
  const suggested = shared.folders.map(([file]) => [file, suggestPathByFolders(file) ?? null])
  expect(suggested).toEqual(shared.folders)
})

test('detectTypeByTensors gives the recorded type for every shared case', { tag: '@core' }, () => {
  const detected = shared.tensors.map(([names]) => [names, detectTypeByTensors(names) ?? null])
  expect(detected).toEqual(shared.tensors)
})

test('detectTypeByGguf gives the recorded type for every shared case', { tag: '@core' }, () => {
  const detected = shared.gguf.map(([head]) => [head, detectTypeByGguf(Buffer.from(head, 'hex')) ?? null])
  expect(detected).toEqual(shared.gguf)
})

test('findPathProblem suggests the recorded name for every shared case', { tag: '@core' }, () => {
  const suggested = shared.clean_names.map(([name]) => {
    const path = `models/loras/${name}`
    return [name, (findPathProblem(path)?.suggestion ?? path).replace('models/loras/', '')]
  })
  expect(suggested).toEqual(shared.clean_names)
})

interface SuggestionCases {
  near_misses: [name: string, folder: string][]
  known: string[]
  new: string[]
}

const SUGGESTIONS = join(import.meta.dirname, '../../tests/wire/model_type_suggestions.json')

test('suggestType gives the recorded type for every shared case', { tag: '@core' }, () => {
  const cases = JSON.parse(readFileSync(SUGGESTIONS, 'utf8')) as SuggestionCases
  expect(cases.near_misses.map(([name]) => [name, suggestType(name)])).toEqual(cases.near_misses)
  expect([...cases.known, ...cases.new].filter((name) => suggestType(name) !== undefined)).toEqual([])
  expect(cases.known.filter((name) => !isKnownType(name))).toEqual([])
  expect([...cases.new, ...cases.near_misses.map(([name]) => name)].filter(isKnownType)).toEqual([])
})
