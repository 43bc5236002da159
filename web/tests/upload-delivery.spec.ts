// Uploaded models on their way to the machines: rows that live on until a model works there.

import { join } from 'node:path'
import type { AgentState, Model, ModelStates } from '../src/api/types'
import type { Item } from '../src/features/upload/engine/items'
import {
  type DeliveredModel,
  type Delivery,
  describeDelivery,
  describeIgnored,
  isMoving,
} from '../src/features/upload/recent/describeDelivery'
import { mergeRows } from '../src/features/upload/recent/mergeRows'
import { listOlder } from '../src/features/upload/recent/uploadedHere'
import { openPageInOtherBrowser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { ReportingMachine } from './machines'
import { buildSdxlLora, registerModel } from './modelFiles'
import { dropModel, writeModelFile } from './uploadActions'

const test = withRegistry()

test('the row of an upload says on which machines the model is, over a reload and in another browser', async ({
  page,
  browser,
  registry,
  signIn,
  pageErrors,
}) => {
  const machines = await Promise.all(['render-01', 'render-07'].map((id) => ReportingMachine.create(registry, id)))
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/on-its-way.safetensors')
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  const getRow = (inPage = page) => inPage.getByRole('listitem', { name: 'on-its-way' })
  await expect(getRow()).toContainText('On 0 of 2')
  const { model_list: models } = await registry.call<{ model_list: { id: string; file_size: number }[] }>(
    registry.owner,
    'GET',
    '/models?q=on-its-way',
  )
  const { id: model_id, file_size } = models[0] ?? { id: '', file_size: 0 }
  await machines[0]?.report({}, [{ model_id, state: 'ready', bytes_done: file_size }])
  await machines[1]?.report({}, [{ model_id, state: 'downloading', bytes_done: Math.ceil(file_size * 0.62) }])
  await expect(getRow()).toContainText('On 1 of 2; render-07 at 62 %')
  await page.reload()
  await expect(getRow()).toContainText('On 1 of 2; render-07 at 62 %')
  const other = await openPageInOtherBrowser(browser, pageErrors)
  await signIn(registry.owner, '/upload', other)
  await machines[1]?.report({}, [{ model_id, state: 'blocked', reason: 'The disk is full.' }])
  await expect(getRow(other)).toContainText('On 1 of 2; render-07: The disk is full')
  await getRow(other).getByRole('link', { name: 'See machines' }).click()
  await expect(other.getByRole('region', { name: 'Where it is' })).toContainText('The disk is full.')
  await other.context().close()
  await machines[1]?.report({}, [{ model_id, state: 'ready', bytes_done: file_size }])
  await expect(getRow()).toContainText('On 2 of 2 machines')
  await expect(page.getByRole('status').filter({ hasText: '1 of 1 model on all their machines' })).toBeVisible()
})

test('an upload has one row, from its progress until its model is stored in a team without machines', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name: 'No machines' })
  const inTeam = registry.inTeam(id)
  await signIn(registry.owner, '/upload')
  await page.getByRole('button', { name: 'Studio' }).click()
  await page.getByRole('menuitem', { name: 'No machines' }).click()
  await expect(page.getByRole('button', { name: 'No machines' })).toBeVisible()
  await dropModel(page, registry, 'loras/one-row.safetensors', buildSdxlLora())
  // The registry answers late, so that the upload is seen while it runs.
  await page.route(/\/api\/v1\/models$/, async (route) => {
    if (route.request().method() === 'POST') await new Promise((later) => setTimeout(later, 1_500))
    await route.continue()
  })
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  const rows = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem')
  await expect(rows).toHaveCount(1)
  await expect(rows.getByRole('progressbar')).toBeVisible()
  await expect(rows).toContainText('Stored. The team has no machines yet.')
  await expect(rows).toContainText('LoRA · SDXL 1.0')
  await expect(rows).toHaveCount(1)
  await expect(page.getByText('Registered')).toHaveCount(0)
  await page.reload()
  await expect(rows).toHaveCount(1)
  await rows.getByRole('link', { name: 'Pair a machine' }).click()
  await expect(page).toHaveURL(/\/machines$/)
  const { total_count } = (await inTeam.call<{ page_meta: { total_count: number } }>(registry.owner, 'GET', '/models'))
    .page_meta
  expect(total_count).toBe(1)
})

test('the row of a new version of an older model is there after a reload', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const { id } = await registerModel(registry, 'vae/older.safetensors')
  await signIn(admin, `/upload?model=${id}`)
  await page.getByTestId('files').setInputFiles(writeModelFile(registry, 'newer.safetensors'))
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  const row = page.getByRole('listitem', { name: 'older' })
  await expect(row).toBeVisible()
  await page.reload()
  await expect(row).toBeVisible()
  // Another user of the same browser has not uploaded it.
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await signIn(await registry.person('admin', 'second'), '/upload')
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible()
  await expect(row).toHaveCount(0)
})

test('the list of recent uploads says when it has only the newest', async ({ page, registry, signIn }) => {
  const member = await registry.person('member', 'busy')
  for (const name of ['cap-a', 'cap-b', 'cap-c']) {
    await registerModel(registry, `vae/${name}.safetensors`, { by: member })
  }
  // As with more than 100 models, of which one page is read.
  await page.route(/by%3Ame/, (route) =>
    route.continue({ url: route.request().url().replace('per_page=100', 'per_page=2') }),
  )
  await signIn(member, '/upload')
  await expect(page.getByRole('status').filter({ hasText: 'only the newest are listed' })).toBeVisible()
  await expect(page.getByRole('listitem', { name: /^cap-/ })).toHaveCount(2)
})

test('the uploads are accessible and fit wide and narrow screens', async ({ page, registry, signIn }) => {
  await registerModel(registry, `loras/${'long-'.repeat(20)}name.safetensors`)
  await signIn(registry.owner, '/upload')
  await expect(page.getByRole('heading', { name: 'Recent uploads' })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [380, 1440]) {
      await page.setViewportSize({ width, height: 900 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: join('results/screenshots', `uploads-${colorScheme}-${width}.png`) })
    }
  }
})

test('mergeRows gives a file and its model one row, and the files that need a person come first', () => {
  const build = (id: number, stage: Item['stage'], modelId?: string, replaces?: string) =>
    ({ id, stage, modelId, replaces }) as Item
  const deliver = (id: string, kind: Delivery['kind']) => ({ model: { id } as Model, delivery: { kind, text: '' } })
  const items = [
    build(1, 'done', 'a'),
    build(2, 'working'),
    build(3, 'failed', 'b'),
    build(4, 'verifying', 'c'),
    build(5, 'done', 'a'),
    build(6, 'done', 'unlisted'),
    build(7, 'paused', undefined, 'next'),
    build(8, 'failed', 'again'),
    build(9, 'conflict', undefined, 'again'),
    build(10, 'done', 'again'),
  ]
  const models = [
    deliver('a', 'done'),
    deliver('b', 'problem'),
    deliver('c', 'moving'),
    deliver('old', 'problem'),
    deliver('next', 'done'),
    deliver('again', 'done'),
  ]
  const rows = mergeRows(items, models).map(({ key, delivered }) => `${key}: ${delivered?.model.id ?? 'file'}`)
  expect(rows).toEqual([
    'file 9: file',
    'file 3: file',
    'file 8: file',
    'old: old',
    'file 2: file',
    'file 7: file',
    'file 6: file',
    'file 4: c',
    'file 5: a',
    'file 10: again',
  ])
})

test('listOlder begins with the latest new versions, and leaves out new models that a capped list lacks', () => {
  const own = [{ id: 'new' }]
  expect(listOlder(own, false, ['updated', 'new'], ['new', 'not stored'])).toEqual(['updated', 'not stored'])
  expect(listOlder(own, true, ['updated', 'new'], ['new', 'below the list'])).toEqual(['updated'])
  const many = Array.from({ length: 100 }, (_, number) => `updated-${number}`)
  expect(listOlder(own, false, many, [])).toEqual(many.slice(0, 20))
})

test('describeIgnored names the type and the size that a model keeps', () => {
  const ignored = [
    { field: 'model_type', sent: 'vae', kept: 'loras' },
    { field: 'file_size', sent: 1, kept: 1_500 },
  ] as const
  expect(describeIgnored({ ignored: [...ignored] })).toBe('keeps the type LoRA and the size 1.5 kB')
})

const MODEL: DeliveredModel = {
  file_size: 1000,
  model_status: 'active',
  verification: 'verified',
  verification_error: null,
  version: 1,
  pending_version: null,
  metadata: {},
}

function buildStates(ready: string[], state_list: Partial<AgentState>[]): ModelStates {
  const known = state_list.map(
    (one) => ({ reason: null, bytes_done: 0, state: 'queued', pinned_version: null, ...one }) as AgentState,
  )
  return { model_id: 'm', version: 1, ready, state_list: known }
}

test('describeDelivery names what is left, problems first', () => {
  const states = buildStates(
    ['a', 'b'],
    [
      { agent_id: 'c', state: 'downloading', bytes_done: 620 },
      { agent_id: 'd', state: 'failed', reason: 'The disk is full.' },
      { agent_id: 'e', state: 'queued' },
    ],
  )
  const cases: [Partial<DeliveredModel>, ModelStates | undefined, string, string][] = [
    [{}, states, 'problem', 'On 2 of 5; d: The disk is full; c at 62 %; 1 more'],
    [{}, buildStates(['a'], [{ agent_id: 'e' }]), 'moving', 'On 1 of 2; e: offline'],
    [{}, buildStates([], [{ agent_id: 'c', state: 'downloading' }]), 'moving', 'On 0 of 1; c: downloading'],
    [{}, buildStates(['a', 'b'], []), 'done', 'On 2 of 2 machines'],
    [
      {},
      buildStates(['a'], [{ agent_id: 'c', state: 'ready', reason: 'ComfyUI does not list it.' }]),
      'problem',
      'On 2 of 2; c: ComfyUI does not list it',
    ],
    [{}, buildStates([], []), 'idle', 'Stored. No machine should have it yet.'],
    [{ verification: 'pending' }, undefined, 'moving', 'Verifying'],
    [
      { pending_version: { version: 2, verification: 'pending', verification_error: null } },
      states,
      'moving',
      'Verifying version 2',
    ],
    [
      {
        verification: 'failed',
        verification_error: 'It is no model.',
        pending_version: { version: 1, verification: 'failed', verification_error: 'It is no model.' },
      },
      undefined,
      'problem',
      'Verification failed: It is no model.',
    ],
    [
      { verification: 'failed', verification_error: 'Its bytes have changed.' },
      undefined,
      'problem',
      'Damaged: Its bytes have changed.',
    ],
    [
      { verification: 'pending', verification_error: 'Its inspection failed.' },
      undefined,
      'problem',
      'Not verified yet: Its inspection failed.',
    ],
    [
      { pending_version: { version: 2, verification: 'pending', verification_error: 'Its inspection failed.' } },
      states,
      'problem',
      'Version 2 is not verified yet: Its inspection failed.',
    ],
    [{ model_status: 'disabled' }, states, 'idle', 'Stored. It is disabled, so no machine gets it.'],
  ]
  const fleet = { offline: new Set(['e']), isEmpty: false }
  for (const [change, known, kind, text] of cases) {
    expect(describeDelivery({ ...MODEL, ...change }, known, fleet)).toMatchObject({ kind, text })
  }
  expect(describeDelivery(MODEL, buildStates([], []), { ...fleet, isEmpty: true })).toEqual({
    kind: 'idle',
    text: 'Stored. The team has no machines yet.',
    next: 'pair machine',
  })
})

test('isMoving is true only while a machine that answers has work to do', () => {
  const offline = new Set(['e'])
  const isMovingWith = (one: Partial<AgentState>) => isMoving(buildStates(['a'], [one]), offline)
  expect(isMovingWith({ agent_id: 'c', state: 'downloading' })).toBe(true)
  expect(isMovingWith({ agent_id: 'c', state: 'queued' })).toBe(true)
  expect(isMovingWith({ agent_id: 'e', state: 'queued' })).toBe(false)
  expect(isMovingWith({ agent_id: 'c', state: 'blocked' })).toBe(false)
  expect(isMoving(buildStates(['a'], []), offline)).toBe(false)
})
