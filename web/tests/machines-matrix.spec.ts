// The matrix of models and machines.

import type { Page } from '@playwright/test'
import { registered } from './files'
import { Reporter } from './machines'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import type { Registry } from './registry'

const test = withRegistry()

const SOME = 130

/** Machines `left` and `right` (which has the label `gpu`), and enough models for a second page. */
async function fleet(registry: Registry) {
  const left = await Reporter.heard(registry, 'left')
  const right = await Reporter.heard(registry, 'right', {}, ['gpu'])
  const ids: string[] = []
  for (let number = 0; number < SOME; number += 10) {
    const ten = Array.from({ length: 10 }, (_, index) => `plain-${String(number + index).padStart(3, '0')}`)
    const made = await Promise.all(ten.map((name) => registered(registry, `loras/${name}.safetensors`)))
    ids.push(...made.map((model) => model.id))
  }
  const labelled = await registered(registry, 'loras/labelled.safetensors', { required_labels: ['gpu'] })
  const stuck = await registered(registry, 'loras/stuck.safetensors')
  const ready = ids.map((model_id) => ({ model_id, state: 'ready' }))
  await left.says({}, [...ready, { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.' }])
  await right.says({}, [...ready, { model_id: labelled.id, state: 'ready' }])
  return { left, right, ready, labelled, stuck }
}

let made: Awaited<ReturnType<typeof fleet>> | undefined
let madeIn = ''

test.beforeEach(async ({ registry }) => {
  if (madeIn !== registry.url) made = await fleet(registry)
  madeIn = registry.url
  // Who is not heard of for 90 seconds is unhealthy, and said to be.
  for (const machine of [made?.left, made?.right]) await machine?.says()
})

function cell(page: Page, model: string, machine: string) {
  const column = { left: 2, right: 3 }[machine]
  return page.getByRole('row').filter({ hasText: model }).locator(`[role=gridcell][aria-colindex="${column}"]`)
}

test('each model says on each machine how it is, and why', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines')
  await page.getByText('Matrix', { exact: true }).click()
  await expect(page).toHaveURL(/view=matrix/)
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName('Blocked. The disk is full.')
  await expect(cell(page, 'stuck', 'right')).toHaveAccessibleName('Wanted')
  await expect(cell(page, 'labelled', 'left')).toHaveAccessibleName('Not for this machine')
  await expect(cell(page, 'labelled', 'right')).toHaveAccessibleName('Ready')
  await cell(page, 'stuck', 'left').hover()
  await expect(page.getByText('stuck on left: Blocked. The disk is full.')).toBeVisible()
})

test('only what is not everywhere yet, and it leaves when it is', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines?view=matrix')
  await page.getByRole('switch', { name: 'Not everywhere yet' }).click()
  await expect(page).toHaveURL(/missing=true/)
  const rows = page.getByRole('grid').getByRole('row')
  await expect(rows).toHaveCount(2)
  await expect(cell(page, 'stuck', 'left')).toBeVisible()
  const { left, ready, stuck } = made ?? (await fleet(registry))
  await left.says({}, [...ready, { model_id: stuck.id, state: 'downloading', bytes_done: 400 }])
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName(/^Downloading, \d+ %$/)
  await left.says({}, [...ready, { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.' }])
  await expect(cell(page, 'stuck', 'left')).toHaveAccessibleName('Blocked. The disk is full.')
})

test('rows come as one scrolls, and few are there at once', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines?view=matrix')
  const grid = page.getByRole('grid')
  await expect(cell(page, 'stuck', 'left')).toBeVisible()
  await expect(async () => {
    await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight))
    await expect(cell(page, 'plain-000', 'left')).toHaveAccessibleName('Ready', { timeout: 1000 })
  }).toPass()
  expect(await grid.getByRole('row').count()).toBeLessThan(60)
  await expect(page.getByText(`${SOME + 2} models on 2 machines`)).toBeVisible()
  await expect(grid.getByRole('link', { name: 'left, idle' })).toBeInViewport()
})

test('the keyboard reaches every cell, and what it points at is said', async ({ page, registry, signIn }) => {
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
  await expect(page.getByRole('link', { name: 'right, idle' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog', { name: 'right' })).toBeVisible()
})

test('models are searched in the matrix, and a label chooses the machines', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines?view=matrix')
  await page.getByLabel('Search models').fill('plain 007')
  await expect(page.getByRole('grid').getByRole('row')).toHaveCount(2)
  await page.getByLabel('Label', { exact: true }).selectOption('gpu')
  await expect(page.getByRole('columnheader')).toHaveCount(2)
  await page.getByLabel('Search models').fill('nothing is called so')
  await expect(page.getByRole('heading', { name: 'No such model' })).toBeVisible()
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the matrix is accessible, wide and narrow (${colorScheme})`, async ({ page, registry, signIn }) => {
    await page.emulateMedia({ colorScheme })
    await signIn(registry.owner, '/machines?view=matrix')
    await expect(cell(page, 'stuck', 'left')).toBeVisible()
    await expectAccessible(page)
    await page.setViewportSize({ width: 360, height: 740 })
    await expect(cell(page, 'stuck', 'left')).toBeVisible()
    await expectNarrow(page)
  })
}
