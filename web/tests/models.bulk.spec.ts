import type { Page } from '@playwright/test'
import { expect, expectAccessible, openTeamView, withRegistry } from './fixtures'
import { buildSafetensors, type RegisteredModel, registerModel } from './modelFiles'
import type { Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

const bytes = buildSafetensors(256)

async function registerMany(registry: Registry, word: string, count: number, facts = {}): Promise<RegisteredModel[]> {
  const created: RegisteredModel[] = []
  for (let number = 0; number < count; number += 1)
    created.push(await registerModel(registry, `loras/${word}_${number}.safetensors`, { bytes, ...facts }))
  return created
}

const box = (page: Page, name: string) => page.getByRole('checkbox', { name: `Select ${name}`, exact: true })

async function listModels(registry: Registry, query: string): Promise<Record<string, unknown>[]> {
  const answer = await registry.call<{ model_list: Record<string, unknown>[] }>(
    registry.owner,
    'GET',
    `/models?per_page=100&${query}`,
  )
  return answer.model_list
}

test('a range selected with shift is disabled in bulk and restored by undo', async ({ page, registry, signIn }) => {
  await registerMany(registry, 'range', 8)
  await signIn(registry.owner, '/models?view=table&q=range_&sort=display_name')
  await box(page, 'range_1').click()
  await box(page, 'range_5').click({ modifiers: ['Shift'] })
  const bar = page.getByRole('region', { name: 'Selected models' })
  await expect(bar).toContainText('5 models selected')
  await bar.getByRole('button', { name: 'Disable' }).click()
  // A notice under the mouse stays.
  await page.getByText('5 models disabled.').hover()
  expect(await listModels(registry, 'q=range_&model_status=disabled')).toHaveLength(5)
  await expect(page.getByRole('row').filter({ hasText: 'Disabled' })).toHaveCount(5)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('row').filter({ hasText: 'Disabled' })).toHaveCount(0)
  expect(await listModels(registry, 'q=range_&model_status=disabled')).toHaveLength(0)
})

test('a bulk delete sends at most four requests at once, and a bulk restore brings all models back', async ({
  page,
  registry,
  signIn,
}) => {
  await registerMany(registry, 'heap', 12)
  let now = 0
  let most = 0
  await page.route('**/api/v1/models/*', async (route) => {
    if (route.request().method() !== 'DELETE') return route.continue()
    now += 1
    most = Math.max(most, now)
    const answer = await route.fetch()
    now -= 1
    await route.fulfill({ response: answer })
  })
  await signIn(registry.owner, '/models?view=table&q=heap_')
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('12 models deleted.')).toBeVisible()
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(4)
  await page.goto(`${registry.url}/models?q=heap_&trash=true`)
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Restore' }).click()
  await expect(page.getByText('12 models restored.')).toBeVisible()
  expect(await listModels(registry, 'q=heap_')).toHaveLength(12)
})

test('a bulk action that fails for one model lists it with the reason and changes the others', async ({
  page,
  registry,
  signIn,
}) => {
  const [viewChanged] = await registerMany(registry, 'part', 3)
  await signIn(registry.owner, '/models?view=table&q=part_')
  await expect(box(page, 'part_0')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await registry.call(registry.owner, 'DELETE', `/models/${viewChanged?.id}`)
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  const message = page.getByRole('dialog')
  await expect(message).toContainText('1 model could not be disabled')
  await expect(message).toContainText('2 others were disabled.')
  await expect(message).toContainText('There is no such model.')
  await expect(message.getByRole('listitem')).toHaveText(['part_0'])
})

test('a bulk action that fails for all models lists them although the list is empty now', async ({
  page,
  registry,
  signIn,
}) => {
  const created = await registerMany(registry, 'alone', 2)
  await signIn(registry.owner, '/models?view=table&q=alone_')
  await expect(box(page, 'alone_1')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  for (const { id } of created) await registry.call(registry.owner, 'DELETE', `/models/${id}`)
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  const message = page.getByRole('dialog', { name: '2 models could not be disabled' })
  await expect(message.getByRole('listitem')).toHaveCount(2)
  await message.getByRole('button', { name: 'Close' }).last().click()
  await expect(message).toBeHidden()
  await expect(page.getByRole('heading', { name: 'No models match' })).toBeVisible()
})

test('failures of a bulk action and of its undo are shown in another view', async ({ page, registry, signIn }) => {
  const created = await registerMany(registry, 'away', 3)
  await signIn(registry.owner, '/models?view=table&q=away_')
  await expect(box(page, 'away_2')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await registry.call(registry.owner, 'DELETE', `/models/${created[0]?.id}`)
  let continueRequests = () => {}
  const viewChanged = new Promise<void>((resolve) => {
    continueRequests = resolve
  })
  await page.route('**/api/v1/models/*', async (route) => {
    if (route.request().method() === 'PUT') await viewChanged
    await route.continue()
  })
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  await openTeamView(page, 'Team settings')
  await expect(page.getByRole('heading', { name: 'Team settings' })).toBeVisible()
  continueRequests()
  await expect(page.getByText('1 model could not be disabled. There is no such model.')).toBeVisible()
  await page.getByText('2 models disabled.').hover()
  await registry.call(registry.owner, 'DELETE', `/models/${created[1]?.id}`)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByText('1 model could not be changed back. There is no such model.')).toBeVisible()
  expect(await listModels(registry, 'q=away_')).toEqual([expect.objectContaining({ model_status: 'active' })])
})

test('a bulk edit adds and removes tags, keeps the other tags, and can be undone', async ({
  page,
  registry,
  signIn,
}) => {
  const created = await registerMany(registry, 'word', 3, { tags: ['old', 'kept'] })
  await registry.call(registry.owner, 'PUT', `/models/${created[0]?.id}`, { tags: ['new'] })
  await signIn(registry.owner, '/models?view=table&q=word_')
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Edit tags' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox', { name: 'Add' }).fill('new')
  await dialog.getByRole('combobox', { name: 'Add' }).press('Enter')
  await dialog.getByRole('combobox', { name: 'Remove' }).fill('old')
  await dialog.getByRole('combobox', { name: 'Remove' }).press('Enter')
  await dialog.getByRole('button', { name: 'Change 3 models' }).click()
  await page.getByText('3 models changed.').hover()
  const tags = async () => (await listModels(registry, 'q=word_&sort=display_name')).map((model) => model.tags)
  expect(await tags()).toEqual([['new'], ['kept', 'new'], ['kept', 'new']])
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(tags).toEqual([['new'], ['kept', 'old'], ['kept', 'old']])
})

test('a bulk edit sets required labels', async ({ page, registry, signIn }) => {
  await registerMany(registry, 'label', 2)
  await signIn(registry.owner, '/models?view=table&q=label_')
  await page.getByRole('checkbox', { name: 'Select all loaded models' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Edit labels' }).click()
  await page.getByRole('dialog').getByRole('combobox', { name: 'Add' }).fill('gpu24')
  await page.getByRole('dialog').getByRole('button', { name: 'Change 2 models' }).click()
  await expect(page.getByText('2 models changed.')).toBeVisible()
  const labels = (await listModels(registry, 'q=label_')).map((model) => model.required_labels)
  expect(labels).toEqual([['gpu24'], ['gpu24']])
})

test('a member sends models of other people, and changes only their own', async ({ page, registry, signIn }) => {
  const labels = { required_labels: ['nowhere'] }
  const member = await registry.person('member')
  await registerMany(registry, 'theirs', 1, labels)
  await registerMany(registry, 'mine', 1, { ...labels, by: member })
  await Machine.create(registry, 'bulk-machine')
  await signIn(member, '/models?view=table&q=mine|theirs&sort=display_name')
  const bar = page.getByRole('region', { name: 'Selected models' })
  await box(page, 'mine_0').click()
  await expect(bar.getByRole('button', { name: 'Delete' })).toBeEnabled()
  await box(page, 'theirs_0').click()
  for (const name of ['Enable', 'Disable', 'Edit tags', 'Edit labels', 'Delete'])
    await expect(bar.getByRole('button', { name, exact: true })).toBeDisabled()
  await expect(bar.getByRole('button', { name: 'Delete' })).toHaveAccessibleDescription(
    /^Not registered by you: 1 model/,
  )
  await expectAccessible(page)
  await bar.getByRole('button', { name: 'Send to…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Send 2 models to…' })
  await dialog.getByLabel('bulk-machine').check()
  await dialog.getByRole('button', { name: 'Send to 1 machine' }).click()
  await expect(page.getByText('Sent to 1 machine')).toBeVisible()
})

test('a member cannot select what others deleted', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  const [theirs] = await registerMany(registry, 'gone', 1)
  const [own] = await registerMany(registry, 'gone_own', 1, { by: member })
  for (const model of [theirs, own]) await registry.call(registry.owner, 'DELETE', `/models/${model?.id}`)
  await signIn(member, '/models?trash=true&q=gone')
  await expect(box(page, 'gone_0')).toBeDisabled()
  await expect(box(page, 'gone_own_0')).toBeEnabled()
})

test('changing a filter clears the selection', async ({ page, registry, signIn }) => {
  await registerMany(registry, 'mark', 2)
  await signIn(registry.owner, '/models?view=table&q=mark_')
  await box(page, 'mark_0').click()
  await expect(page.getByRole('region', { name: 'Selected models' })).toBeVisible()
  await page.getByRole('combobox', { name: 'Search models' }).fill('mark_0')
  await expect(page.getByRole('region', { name: 'Selected models' })).toBeHidden()
})
