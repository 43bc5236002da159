// How the page builds the models of a collection's next version, and what it offers to subscribe.

import { expect, test } from '@playwright/test'
import type { Agent, CollectionModel, Model, Subscription, WorkflowReference } from '../src/api/types'
import {
  describeLeftOut,
  listEntries,
  listOutdated,
  mergeEntries,
  removeEntry,
} from '../src/features/collections/entries'
import { findMark } from '../src/features/collections/marks'
import { collectionSearch } from '../src/features/collections/search'
import { listChoices, listMachines, parseChoice } from '../src/features/collections/subscriptions/targets'
import { listCollectionModels } from '../src/features/workflows/namedModels'

function buildModel(facts: Partial<CollectionModel>): CollectionModel {
  const file = { model_path: 'loras/ink.safetensors', file_size: 1, file_hash: 'sha256:0' }
  return { model_id: 'ink', version: 1, current_version: 1, is_available: true, ...file, ...facts }
}

test('the next version leaves out models that were deleted, and the page says how many', () => {
  const models = [buildModel({}), buildModel({ model_id: 'old', current_version: null, is_available: false })]
  expect(listEntries(models)).toEqual([{ model_id: 'ink', version: 1 }])
  expect(describeLeftOut(models)).toBe('1 deleted model is left out.')
  expect(describeLeftOut(models.slice(0, 1))).toBe('')
})

test('a model that is added again is replaced in its place, and others are added at the end', () => {
  const entries = [
    { model_id: 'a', version: 1 },
    { model_id: 'b', version: 1 },
  ]
  expect(mergeEntries(entries, [{ model_id: 'c' }, { model_id: 'a' }])).toEqual([
    { model_id: 'a' },
    { model_id: 'b', version: 1 },
    { model_id: 'c' },
  ])
  expect(removeEntry(entries, 'a')).toEqual([{ model_id: 'b', version: 1 }])
})

for (const [name, facts, isOutdated] of [
  ['at the version that the model has', {}, false],
  ['whose model has a newer version', { current_version: 2 }, true],
  ['whose model went back to an older version', { version: 2, current_version: 1 }, true],
  ['whose version was deleted', { current_version: 2, is_available: false }, false],
] as [string, Partial<CollectionModel>, boolean][]) {
  test(`an entry ${name} is ${isOutdated ? '' : 'not '}outdated`, () => {
    expect(listOutdated([buildModel(facts)])).toHaveLength(isOutdated ? 1 : 0)
  })
}

for (const [version, shown] of [
  [2, { version: 2 }],
  [0, {}],
  [1.5, {}],
  ['2', {}],
  [undefined, {}],
] as const) {
  test(`the version ${JSON.stringify(version)} of an address shows ${JSON.stringify(shown)}`, () => {
    expect(collectionSearch({ version })).toEqual(shown)
  })
}

test('a workflow gives the models that its required names load, each once at its version', { tag: '@core' }, () => {
  const build = (facts: Partial<WorkflowReference>): WorkflowReference => {
    const node = { node_id: '1', node_type: 'LoraLoader', input: 'lora_name', folder: 'loras', name: 'ink.safetensors' }
    const found = { state: 'present', model_id: 'ink', version: 3, suggestion: null, reason: null } as const
    return { ...node, hash: null, url: null, is_required: true, ...found, ...facts }
  }
  const reference_list = [
    build({}),
    build({ node_id: '2' }),
    build({ model_id: 'muted', is_required: false }),
    build({ model_id: 'near', state: 'similar' }),
    build({ model_id: null, state: 'unknown' }),
  ]
  expect(listCollectionModels({ reference_list, machine_list: [] })).toEqual([{ model_id: 'ink', version: 3 }])
})

const AGENTS = [
  { agent_id: 'render-01', agent_labels: ['gpu24', 'north'] },
  { agent_id: 'render-02', agent_labels: ['gpu24'] },
] as Agent[]

function buildSubscription(facts: Partial<Subscription>): Subscription {
  const made = {
    created_by: { kind: 'user', id: null, display_name: 'Ada' },
    created_at: '2026-11-26T12:00:00Z',
  } as const
  return { id: '1', label: null, agent_id: null, ...made, ...facts }
}

test('labels and machines that are not subscribed can be chosen, and a typed label that no machine has', () => {
  const subscribed = [buildSubscription({ label: 'gpu24' }), buildSubscription({ agent_id: 'render-02' })]
  const list = (typed: string) =>
    listChoices(AGENTS, subscribed, typed).flatMap(({ items }) => items.map(({ value }) => parseChoice(value)))
  expect(list('')).toEqual([{ label: 'north' }, { agent_id: 'render-01' }])
  expect(list('nor')).toEqual([{ label: 'north' }, { label: 'nor' }])
  expect(list('gpu24')).toEqual([])
  expect(list('two words')).toEqual([])
})

test('a subscribed label means all machines with it, and a subscribed machine itself', () => {
  const names = (facts: Partial<Subscription>) =>
    listMachines(AGENTS, buildSubscription(facts)).map(({ agent_id }) => agent_id)
  expect(names({ label: 'gpu24' })).toEqual(['render-01', 'render-02'])
  expect(names({ agent_id: 'render-02' })).toEqual(['render-02'])
  expect(names({ label: 'unused' })).toEqual([])
})

test('findMark tells apart what was damaged, never verified, and kept to be converted', () => {
  const entry = { is_available: true, version: 1 } as CollectionModel
  const mark = (facts: Partial<Model>) =>
    findMark(entry, { verification: 'failed', version: 1, pending_version: null, metadata: {}, ...facts } as Model)
      .label
  const pending = { version: 1, verification: 'failed', verification_error: null } as const
  expect(mark({})).toBe('Damaged')
  expect(mark({ pending_version: pending })).toBe('Verification failed')
  const metadata = { refusal: { pickle_scan: 'clean' } }
  expect(mark({ pending_version: pending, metadata })).toBe('Kept to be converted')
})
