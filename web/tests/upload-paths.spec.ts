// The page says of a path what the registry says of it: the same verdict, in the same words, with the same key.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { checkedPath, PathRefused } from '../src/uploading/paths'

const ROOT = join(import.meta.dirname, '../..')
// Every case of the Python rule's own tests, and every character that this Python knows, in a segment of its own.
const CASES = `
import json, unicodedata
from modelyard.wire.paths import PathRefused, checked_path
from tests.wire.test_paths import CORPUS, GOOD

def judged(kind, path):
    try:
        found = checked_path(kind, path)
    except PathRefused as refused:
        return [refused.field, str(refused)]
    return [found.relative, found.canonical_type, found.key]

kinds = ["", ".", "..", "a/b", "loras/", "con", " loras", "a\\\\b", "Configs", "FONTS", "custom_nodes"]
known = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
cases = [("loras", path) for path in CORPUS] + GOOD + [(kind, kind + "/x.bin") for kind in kinds]
cases += [("loras", "loras/a" + letter + "b.bin") for letter in known]
print(json.dumps([[kind, path, judged(kind, path)] for kind, path in cases]))
`

type Case = [kind: string, path: string, judged: string[]]

test('the rule of paths is the same in both languages, for every case and every character', () => {
  const python = join(ROOT, '.venv/bin/python')
  const printed = execFileSync(python, ['-c', CASES], { cwd: ROOT, maxBuffer: 256 * 1024 * 1024 })
  const cases = JSON.parse(printed.toString()) as Case[]
  expect(cases.length).toBeGreaterThan(200_000)
  const differing = cases.filter(([kind, path, judged]) => String(verdict(kind, path)) !== String(judged))
  expect(differing.slice(0, 20)).toEqual([])
})

function verdict(kind: string, path: string): string[] {
  try {
    const { relative, canonicalType, key } = checkedPath(kind, path)
    return [relative, canonicalType, key]
  } catch (refused) {
    if (!(refused instanceof PathRefused)) throw refused
    return [refused.field, refused.message]
  }
}
