// How the page merges, orders and counts the references of a workflow, and words the readiness of a machine.

import { expect, test } from '@playwright/test'
import type { MachineReadiness, WorkflowReference } from '../src/api/types'
import { listNamedModels, listOtherContent, summarizeModels } from '../src/features/workflows/namedModels'
import { describeReadiness } from '../src/features/workflows/readiness'

function buildReference(facts: Partial<WorkflowReference>): WorkflowReference {
  const node = { node_id: '1', node_type: 'LoraLoader', input: 'lora_name', folder: 'loras', name: 'ink.safetensors' }
  const found = { state: 'present', model_id: null, version: null, suggestion: null, reason: null } as const
  return { ...node, hash: null, url: null, is_required: true, ...found, ...facts }
}

function list(...references: Partial<WorkflowReference>[]) {
  return listNamedModels({ reference_list: references.map(buildReference), machine_list: [] })
}

test('references to one folder and name are one model with all its nodes, required if one of them is', {
  tag: '@core',
}, () => {
  const models = list({ is_required: false }, { node_id: '2' }, { node_id: '2' }, { node_id: '3', folder: 'vae' })
  expect(models.map(({ folder, nodes, isRequired }) => ({ folder, nodes, isRequired }))).toEqual([
    { folder: 'loras', nodes: ['LoraLoader #1', 'LoraLoader #2'], isRequired: true },
    { folder: 'vae', nodes: ['LoraLoader #3'], isRequired: true },
  ])
})

test('a required reference decides the state of a model, and models that the team lacks come first', () => {
  const models = list(
    { name: 'a', state: 'present' },
    { name: 'b', state: 'unknown', is_required: false },
    { name: 'b', state: 'other_content' },
    { name: 'c', state: 'unknown' },
  )
  expect(models.map(({ name, state }) => `${name} ${state}`)).toEqual(['c unknown', 'b other_content', 'a present'])
})

test('required names for which the team has other content are listed once', () => {
  const references = [
    { name: 'a', state: 'other_content' },
    { name: 'a', state: 'other_content' },
    { name: 'b', state: 'present' },
    { name: 'c', state: 'other_content', is_required: false },
  ] as const
  expect(listOtherContent({ reference_list: references.map(buildReference), machine_list: [] })).toEqual(['a'])
})

for (const [name, references, text] of [
  ['no model', [], 'Names no models.'],
  ['a present one', [{}], 'Names 1 model, the team has all that it requires.'],
  ['other content', [{ state: 'other_content' }], 'Names 1 model, the team has all that it requires.'],
  ['a missing one', [{}, { name: 'b', state: 'similar' }], 'Names 2 models, the team lacks 1.'],
  ['an optional one', [{ state: 'unknown', is_required: false }], 'Names 1 model, the team has all that it requires.'],
] as [string, Partial<WorkflowReference>[], string][]) {
  test(`the summary of a workflow with ${name} counts what the team lacks`, () => {
    expect(summarizeModels(list(...references))).toBe(text)
  })
}

for (const [text, facts] of [
  ['Ready', { readiness: 'ready', seconds: 0 }],
  ['Ready in about 3 min', { readiness: 'soon', seconds: 170 }],
  ['Ready soon', { readiness: 'soon', seconds: 0 }],
  ['Ready in about 3 min if 2 models are sent', { readiness: 'assignable', seconds: 170, missing_list: ['1', '2'] }],
  ['Cannot: The machine is offline.', { readiness: 'cannot', reason: 'The machine is offline.' }],
] as [string, Partial<MachineReadiness>][]) {
  test(`the readiness of a machine is worded: ${text}`, () => {
    const plain = { agent_id: 'render-07', seconds: null, reason: null, missing_list: [] }
    expect(describeReadiness({ ...plain, readiness: 'ready', ...facts })).toBe(text)
  })
}
