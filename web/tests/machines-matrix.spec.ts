// The matrix of models and machines.

import type { Page } from '@playwright/test'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { ReportingMachine } from './machines'
import { buildExpensiveSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'

const test = withRegistry()

const MODEL_COUNT = 130

/** Create machines `left` and `right` (which has the label `gpu`), and enough models for a second page. */
async function createFleet(registry: Registry) {
  const left = await ReportingMachine.create(registry, 'left')
  const right = await ReportingMachine.create(registry, 'right', {}, ['gpu'])
  const ids: string[] = []
  for (let number = 0; number < MODEL_COUNT; number += 10) {
    const ten = Array.from({ length: 10 }, (_, index) => `plain-${String(number + index).padStart(3, '0')}`)
    const created = await Promise.all(ten.map((name) => registerModel(registry, `loras/${name}.safetensors`)))
    ids.push(...created.map((model) => model.id))
  }
  const labelled = await registerModel(registry, 'loras/labelled.safetensors', { required_labels: ['gpu'] })
  const stuck = await registerModel(registry, 'loras/stuck.safetensors')
  const ready = ids.map((model_id) => ({ model_id, state: 'ready' }))
  await left.report({}, [...ready, { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.' }])
  await right.report({}, [...ready, { model_id: labelled.id, state: 'ready' }])
  return { left, right, ready, labelled, stuck }
}

let created: Awaited<ReturnType<typeof createFleet>> | undefined
let createdIn = ''

test.beforeEach(async ({ registry }) => {
  if (createdIn !== registry.url) created = await createFleet(registry)
  createdIn = registry.url
  // A machine without a heartbeat for 90 seconds would be shown as unhealthy.
  for (const machine of [created?.left, created?.right]) await machine?.report()
})

function cell(page: Page, model: string, machine: string) {
  const column = { left: 2, right: 3 }[machine]
  return page.getByRole('row').filter({ hasText: model }).locator(`[role=gridcell][aria-colindex="${column}"]`)
}

test('a matrix cell shows the state of a model on a machine and the reason', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines')
  await page.getByText('Matrix', { exact: true }).click()
  await expect(page).toHaveURL(/view=matrix/)
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName('Blocked. The disk is full.')
  await expect(cell(page, 'stuck', 'right')).toHaveAccessibleName(/^Queued\. Starts within /)
  await expect(cell(page, 'labelled', 'left')).toHaveAccessibleName('Not sent to this machine')
  await expect(cell(page, 'labelled', 'right')).toHaveAccessibleName('Ready')
  await cell(page, 'stuck', 'left').hover()
  await expect(page.getByText('stuck on left: Blocked. The disk is full.')).toBeVisible()
})

test('a cell of a model that no machine gets says why', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/never-disabled.safetensors')
  await registry.call(registry.owner, 'PUT', `/models/${id}`, { model_status: 'disabled' })
  const bytes = Buffer.concat([buildExpensiveSafetensors(), Buffer.from('more')])
  await registerModel(registry, 'loras/never-verified.safetensors', { bytes })
  await signIn(registry.owner, '/machines?view=matrix')
  await expect(cell(page, 'never-disabled', 'left')).toHaveAccessibleName('Not sent: disabled')
  await expect(cell(page, 'never-verified', 'left')).toHaveAccessibleName('Not sent: verification failed')
})

test('a cell whose state is not loaded yet is not blank', async ({ page, registry, signIn }) => {
  // The requests are never answered.
  await page.route(/\/agent-states\?/, () => undefined)
  await signIn(registry.owner, '/machines?view=matrix')
  await expect(cell(page, 'labelled', 'left')).toHaveAccessibleName('Not known yet')
  await expect(cell(page, 'labelled', 'left').locator('span')).toBeVisible()
})

test('states that cannot be loaded are said to be out of date', async ({ page, registry, signIn }) => {
  await page.route(/\/agent-states\?/, async (route) => {
    const refused = await route.fetch({ url: `${registry.url}/api/v1/agent-states?model_id=none` })
    await route.fulfill({ response: refused })
  })
  await signIn(registry.owner, '/machines?view=matrix')
  await expect(page.getByRole('status').filter({ hasText: 'The data may be out of date' })).toBeVisible()
})

test('what a machine had begun is offline while the machine is stopped', async ({ page, registry, signIn }) => {
  const { right, ready, labelled } = created ?? (await createFleet(registry))
  await signIn(registry.owner, '/machines?view=matrix')
  await right.report({ is_stopping: true })
  await expect(
    page.getByRole('link', { name: /^right, offline, last heartbeat .+\. The agent was stopped\. / }),
  ).toBeVisible()
  await expect(cell(page, 'stuck', 'right')).toHaveAccessibleName(
    /^Queued\. The machine is offline\. The agent was stopped\. /,
  )
  await expect(cell(page, 'labelled', 'right')).toHaveAccessibleName('Ready')
  await page.goto(`${registry.url}/machines`)
  await expect(page.getByRole('listitem').filter({ hasText: 'right' })).toContainText('The agent was stopped.')
  await right.report({}, [...ready, { model_id: labelled.id, state: 'ready' }])
})

test('the filter for models not on all machines shows only those and follows their state', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/machines?view=matrix')
  await page.getByRole('switch', { name: 'Not on all machines' }).click()
  await expect(page).toHaveURL(/missing=true/)
  const rows = page.getByRole('grid').getByRole('row')
  await expect(rows).toHaveCount(2)
  await expect(cell(page, 'stuck', 'left')).toBeVisible()
  const { left, ready, stuck } = created ?? (await createFleet(registry))
  await left.report({}, [...ready, { model_id: stuck.id, state: 'downloading', bytes_done: 400 }])
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName(/^Downloading, \d+ %$/)
  await left.report({}, [...ready, { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.' }])
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName('Blocked. The disk is full.')
})

test('machine names are written across with their numbers of models where all fit, else upright', async ({
  page,
  registry,
  signIn,
}) => {
  const { left, ready, stuck } = created ?? (await createFleet(registry))
  const all = ready.length
  await signIn(registry.owner, '/machines?view=matrix')
  const header = page.getByRole('columnheader').filter({ hasText: 'left' })
  await expect(header).toContainText(`${all}/${all + 1}`)
  await left.report({}, [...ready, { model_id: stuck.id, state: 'downloading', bytes_done: 400 }])
  await expect(cell(page, 'stuck', 'left')).toContainText(/^\d+ %$/)
  await expectAccessible(page)
  await page.setViewportSize({ width: 360, height: 800 })
  await expect(header).not.toContainText(`${all}/`)
  await expect(cell(page, 'stuck', 'left')).toHaveText('')
  await expectNoHorizontalScroll(page)
  await left.report({}, [...ready, { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.' }])
})

test('scrolling the matrix loads more rows and renders only the visible ones', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines?view=matrix')
  const grid = page.getByRole('grid')
  await expect(cell(page, 'stuck', 'left')).toBeVisible()
  await expect(async () => {
    await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight))
    await expect(cell(page, 'plain-000', 'left')).toHaveAccessibleName('Ready', { timeout: 1000 })
  }).toPass()
  expect(await grid.getByRole('row').count()).toBeLessThan(60)
  await expect(page.getByText(/^\d+ models on 2 machines$/)).toBeVisible()
  await expect(grid.getByRole('link', { name: 'left, problem' })).toBeInViewport()
})

test('the arrow keys reach every matrix cell, and the focused cell is described', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/machines?view=matrix')
  await expect(cell(page, 'stuck', 'left')).toBeVisible()
  await page.getByRole('link', { name: 'stuck' }).focus()
  await page.keyboard.press('ArrowRight')
  await expect(cell(page, 'stuck', 'left')).toBeFocused()
  await page.keyboard.press('ArrowDown')
  await expect(cell(page, 'labelled', 'left')).toBeFocused()
  await page.keyboard.press('End')
  await expect(cell(page, 'labelled', 'right')).toBeFocused()
  await expect(page.getByText('labelled on right: Ready')).toBeVisible()
  for (let step = 0; step < 3; step += 1) await page.keyboard.press('PageDown')
  const focused = page.locator('[role=gridcell]:focus')
  await expect(focused).toBeInViewport()
  await page.getByRole('grid').evaluate((element) => element.scrollTo(0, 0))
  await expect(cell(page, 'stuck', 'left')).toBeInViewport()
  await expect(focused).toHaveCount(1)
  await page.keyboard.press('ArrowUp')
  await expect(focused).toBeInViewport()
  for (let step = 0; step < 4; step += 1) await page.keyboard.press('PageUp')
  await expect(page.getByRole('link', { name: 'right, waiting' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog', { name: 'right' })).toBeVisible()
})

test('the matrix search filters models, and the label filter filters machines', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines?view=matrix')
  await page.getByLabel('Search models').fill('plain 007')
  await expect(page.getByRole('grid').getByRole('row')).toHaveCount(2)
  await page.getByLabel('Label', { exact: true }).selectOption('gpu')
  await expect(page.getByRole('columnheader')).toHaveCount(2)
  await page.getByLabel('Search models').fill('nothing is called so')
  await expect(page.getByRole('heading', { name: 'No models match' })).toBeVisible()
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the matrix is accessible and fits wide and narrow screens (${colorScheme})`, async ({
    page,
    registry,
    signIn,
  }) => {
    await page.emulateMedia({ colorScheme })
    await signIn(registry.owner, '/machines?view=matrix')
    await expect(cell(page, 'stuck', 'left')).toBeVisible()
    await expectAccessible(page)
    await page.setViewportSize({ width: 360, height: 740 })
    await expect(cell(page, 'stuck', 'left')).toBeVisible()
    await expectNoHorizontalScroll(page)
  })
}
