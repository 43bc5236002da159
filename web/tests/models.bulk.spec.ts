import type { Page } from '@playwright/test'
import { type Registered, registered, safetensors } from './files'
import { expect, withRegistry } from './page'
import type { Registry } from './registry'

const test = withRegistry()

const bytes = safetensors(256)

async function many(registry: Registry, word: string, count: number, facts = {}): Promise<Registered[]> {
  const made: Registered[] = []
  for (let number = 0; number < count; number += 1)
    made.push(await registered(registry, `loras/${word}_${number}.safetensors`, { bytes, ...facts }))
  return made
}

const box = (page: Page, name: string) => page.getByRole('checkbox', { name: `Select ${name}`, exact: true })

async function listed(registry: Registry, query: string): Promise<Record<string, unknown>[]> {
  const answer = await registry.call<{ model_list: Record<string, unknown>[] }>(
    registry.owner,
    'GET',
    `/models?per_page=100&${query}`,
  )
  return answer.model_list
}

test('a range of models is marked with shift, disabled at once, and all of it undone', async ({
  page,
  registry,
  signIn,
}) => {
  await many(registry, 'range', 8)
  await signIn(registry.owner, '/models?q=range_&sort=display_name')
  await box(page, 'range_1').click()
  await box(page, 'range_5').click({ modifiers: ['Shift'] })
  const bar = page.getByRole('region', { name: 'Selected models' })
  await expect(bar).toContainText('5 models selected')
  await bar.getByRole('button', { name: 'Disable' }).click()
  // A notice under the mouse stays.
  await page.getByText('5 models disabled.').hover()
  expect(await listed(registry, 'q=range_&model_status=disabled')).toHaveLength(5)
  await expect(page.getByRole('row').filter({ hasText: 'Disabled' })).toHaveCount(5)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('row').filter({ hasText: 'Disabled' })).toHaveCount(0)
  expect(await listed(registry, 'q=range_&model_status=disabled')).toHaveLength(0)
})

test('all that is loaded is deleted with at most four requests at once, and restored from the trash in bulk', async ({
  page,
  registry,
  signIn,
}) => {
  await many(registry, 'heap', 12)
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
  await signIn(registry.owner, '/models?q=heap_')
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('12 models deleted.')).toBeVisible()
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(4)
  await page.goto(`${registry.url}/models?q=heap_&trash=true`)
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Restore' }).click()
  await expect(page.getByText('12 models restored.')).toBeVisible()
  expect(await listed(registry, 'q=heap_')).toHaveLength(12)
})

test('what is refused of many is told with the reason, and the rest is done', async ({ page, registry, signIn }) => {
  const [gone] = await many(registry, 'part', 3)
  await signIn(registry.owner, '/models?q=part_')
  await expect(box(page, 'part_0')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await registry.call(registry.owner, 'DELETE', `/models/${gone?.id}`)
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  const told = page.getByRole('dialog')
  await expect(told).toContainText('1 model could not be disabled')
  await expect(told).toContainText('2 others were disabled.')
  await expect(told).toContainText('There is no such model.')
  await expect(told.getByRole('listitem')).toHaveText(['part_0'])
})

test('what is refused is told also where nothing is listed any more', async ({ page, registry, signIn }) => {
  const made = await many(registry, 'alone', 2)
  await signIn(registry.owner, '/models?q=alone_')
  await expect(box(page, 'alone_1')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  for (const { id } of made) await registry.call(registry.owner, 'DELETE', `/models/${id}`)
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  const told = page.getByRole('dialog', { name: '2 models could not be disabled' })
  await expect(told.getByRole('listitem')).toHaveCount(2)
  await told.getByRole('button', { name: 'Close' }).last().click()
  await expect(told).toBeHidden()
  await expect(page.getByRole('heading', { name: 'No model is like this' })).toBeVisible()
})

test('what is refused is told also to who has gone to another view, and what cannot be undone too', async ({
  page,
  registry,
  signIn,
}) => {
  const made = await many(registry, 'away', 3)
  await signIn(registry.owner, '/models?q=away_')
  await expect(box(page, 'away_2')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await registry.call(registry.owner, 'DELETE', `/models/${made[0]?.id}`)
  let goOn = () => {}
  const gone = new Promise<void>((resolve) => {
    goOn = resolve
  })
  await page.route('**/api/v1/models/*', async (route) => {
    if (route.request().method() === 'PUT') await gone
    await route.continue()
  })
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Disable' }).click()
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Team' }).click()
  await expect(page.getByRole('heading', { name: 'Team settings' })).toBeVisible()
  goOn()
  await expect(page.getByText('1 model could not be disabled. There is no such model.')).toBeVisible()
  await page.getByText('2 models disabled.').hover()
  await registry.call(registry.owner, 'DELETE', `/models/${made[1]?.id}`)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByText('1 model could not be changed back. There is no such model.')).toBeVisible()
  expect(await listed(registry, 'q=away_')).toEqual([expect.objectContaining({ model_status: 'active' })])
})

test('tags are added and taken away in bulk; what else a model has stays, also after undo', async ({
  page,
  registry,
  signIn,
}) => {
  const made = await many(registry, 'word', 3, { tags: ['old', 'kept'] })
  await registry.call(registry.owner, 'PUT', `/models/${made[0]?.id}`, { tags: ['new'] })
  await signIn(registry.owner, '/models?q=word_')
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Tags' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox', { name: 'Add' }).fill('new')
  await dialog.getByRole('combobox', { name: 'Add' }).press('Enter')
  await dialog.getByRole('combobox', { name: 'Take away' }).fill('old')
  await dialog.getByRole('combobox', { name: 'Take away' }).press('Enter')
  await dialog.getByRole('button', { name: 'Change 3 models' }).click()
  await page.getByText('3 models changed.').hover()
  const tags = async () => (await listed(registry, 'q=word_&sort=display_name')).map((model) => model.tags)
  expect(await tags()).toEqual([['new'], ['kept', 'new'], ['kept', 'new']])
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(tags).toEqual([['new'], ['kept', 'old'], ['kept', 'old']])
})

test('labels are set in bulk', async ({ page, registry, signIn }) => {
  await many(registry, 'label', 2)
  await signIn(registry.owner, '/models?q=label_')
  await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Labels' }).click()
  await page.getByRole('dialog').getByRole('combobox', { name: 'Add' }).fill('gpu24')
  await page.getByRole('dialog').getByRole('button', { name: 'Change 2 models' }).click()
  await expect(page.getByText('2 models changed.')).toBeVisible()
  const labels = (await listed(registry, 'q=label_')).map((model) => model.required_labels)
  expect(labels).toEqual([['gpu24'], ['gpu24']])
})

test('marks end with the list that they were made in', async ({ page, registry, signIn }) => {
  await many(registry, 'mark', 2)
  await signIn(registry.owner, '/models?q=mark_')
  await box(page, 'mark_0').click()
  await expect(page.getByRole('region', { name: 'Selected models' })).toBeVisible()
  await page.getByRole('combobox', { name: 'Status' }).selectOption('active')
  await expect(page.getByRole('region', { name: 'Selected models' })).toBeHidden()
})
