// The history of a team has words for every action that the registry records, read from the registry's code.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { DESCRIBERS } from '../src/components/describeEvent'

const SERVER = join(import.meta.dirname, '../../src/modelyard/server')
const files = readdirSync(SERVER, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.py'))
const code = files.map((name) => readFileSync(join(SERVER, name), 'utf8')).join('\n')
/** Names of files that look like actions. */
const FILES = ['model.json']

/** Return what the groups of a pattern match in the code, each once. */
function find(pattern: RegExp): string[] {
  return [...new Set(Array.from(code.matchAll(pattern), (match) => match[1] ?? ''))]
}

/** Return every literal `<object>.<verb>` whose object is that of a recorded action, and the actions of roll-outs. */
function listActions(): string[] {
  const objects = find(/\brecord\w*\([^")]*"([a-z_]+)\.\w+"/g)
  const literals = find(/"([a-z_]+\.\w+)"/g).filter((text) => objects.includes(text.split('.')[0] ?? ''))
  const steps = (/^_EVENTS = \{$(.*?)^\}$/ms.exec(code)?.[1] ?? '').matchAll(/: "(\w+)"/g)
  const rollouts = [...find(/record_action\(session, team, "(\w+)"/g), ...Array.from(steps, (step) => step[1])]
  return [...literals.filter((text) => !FILES.includes(text)), ...rollouts.map((verb) => `collection.rollout_${verb}`)]
}

test('describeEvent has words for every action that the registry records', { tag: '@core' }, () => {
  const actions = listActions()
  const examples = ['model.corrupted', 'collection.rollout_started', 'collection.rollout_continued']
  expect(actions).toEqual(expect.arrayContaining(examples))
  expect(actions.filter((action) => !Object.hasOwn(DESCRIBERS, action))).toEqual([])
})
