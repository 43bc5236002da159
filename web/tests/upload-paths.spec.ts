// The page's rule of model paths gives the results of the registry's: valid or not, field, message and key.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { checkPath, PathRefused } from '../src/features/upload/engine/checkPath'

const ROOT = join(import.meta.dirname, '../..')

/** Model type, path, and the result: field and message, or relative path, canonical type and key. */
type Case = [modelType: string, path: string, ...result: string[]]

interface SharedCases {
  places: string[]
  invalid_segments: [segment: string, message: string][]
  invalid_paths: Case[]
  valid_paths: Case[]
}

// Every character that this Python assigns, in a segment of its own.
const EVERY_CHARACTER = `
import json, unicodedata
from modelyard.wire.paths import ModelPathInvalid, parse_model_path

def check(path):
    try:
        parsed = parse_model_path("loras", path)
    except ModelPathInvalid as problem:
        return [problem.field, str(problem)]
    return [parsed.relative, parsed.canonical_type, parsed.key]

assigned = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
print(json.dumps([["loras", path, *check(path)] for path in ("loras/a" + letter + "b.bin" for letter in assigned)]))
`

test('checkPath gives the recorded result for every case that the tests of the registry share', {
  tag: '@core',
}, () => {
  const shared = JSON.parse(readFileSync(join(ROOT, 'tests/wire/model_path_cases.json'), 'utf8')) as SharedCases
  const bySegment = shared.places.flatMap((place) =>
    shared.invalid_segments.map(
      // A function, because a replacement text would treat $ as special.
      ([segment, message]): Case => ['loras', place.replace('{}', () => segment), 'model_path', message],
    ),
  )
  const cases = [...bySegment, ...shared.invalid_paths, ...shared.valid_paths]
  expect(cases.length).toBeGreaterThan(500)
  expect(listDifferences(cases)).toEqual([])
})

test('checkPath gives the result of the registry for every character', () => {
  const python = join(ROOT, '.venv/bin/python')
  const printed = execFileSync(python, ['-c', EVERY_CHARACTER], { cwd: ROOT, maxBuffer: 256 * 1024 * 1024 })
  const cases = JSON.parse(printed.toString()) as Case[]
  expect(cases.length).toBeGreaterThan(200_000)
  expect(listDifferences(cases)).toEqual([])
})

/** Return the first 20 cases for which checkPath gives another result. */
function listDifferences(cases: Case[]): Case[] {
  return cases.filter(([modelType, path, ...result]) => String(check(modelType, path)) !== String(result)).slice(0, 20)
}

function check(modelType: string, path: string): string[] {
  try {
    const { relative, canonicalType, key } = checkPath(modelType, path)
    return [relative, canonicalType, key]
  } catch (refused) {
    if (!(refused instanceof PathRefused)) throw refused
    return [refused.field, refused.message]
  }
}
