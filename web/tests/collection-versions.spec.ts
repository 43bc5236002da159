// The versions of collections: newer and older ones, pinned ones, what changed between them, and how they look.

import { join } from 'node:path'
import {
  addVersion,
  chooseRowAction,
  createCollection,
  createModel,
  listModelIds,
  readCollection,
  row,
  waitUntilVerified,
} from './collections'
import { checkLooks, expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildSafetensors, registerModel } from './modelFiles'

const test = withRegistry()

const SCREENS = join(import.meta.dirname, '../results/screens')

test('an older version can be shown and made the newest again, without models that were deleted', async ({
  page,
  registry,
  signIn,
}) => {
  const ids = []
  for (const name of ['kept', 'dropped', 'deleted']) ids.push(await createModel(registry, `loras/${name}.safetensors`))
  const [kept = '', dropped = '', deleted = ''] = ids
  const id = await createCollection(registry, 'History', ids)
  await addVersion(registry, id, [{ model_id: kept }])
  await registry.call(registry.owner, 'DELETE', `/models/${deleted}`)

  await signIn(registry.owner, `/collections/${id}`)
  await page.getByRole('link', { name: 'Version 1' }).click()
  await expect(page).toHaveURL(/version=1$/)
  const notice = page.getByRole('alert').filter({ hasText: 'Version 1 is shown' })
  await expect(notice).toContainText('In a version made from this one, 1 deleted model is left out.')
  await expect(row(page, 'Models', 'deleted')).toContainText('Deleted')
  await expect(row(page, 'Models', 'dropped')).toContainText('Available')
  await expect(page.getByRole('button', { name: /^Actions for/ })).toHaveCount(0)
  await notice.getByRole('button', { name: 'Make this the newest again' }).click()

  await expect(page).toHaveURL(/\/collections\/[^?]+$/)
  await expect(row(page, 'Versions', 'v3')).toContainText('The models of version 1 again.')
  expect(await listModelIds(registry, id)).toEqual([kept, dropped])
})

test('a change is refused if another person changed the collection meanwhile, and the page says who', async ({
  page,
  registry,
  signIn,
}) => {
  const grace = await registry.person('admin', 'Grace')
  const mine = await createModel(registry, 'loras/conflict_mine.safetensors')
  const hers = await createModel(registry, 'loras/conflict_hers.safetensors')
  const id = await createCollection(registry, 'Conflict', [mine])
  await signIn(registry.owner, `/collections/${id}`)
  await expect(row(page, 'Models', 'conflict_mine')).toBeVisible()
  await addVersion(registry, id, [{ model_id: mine }, { model_id: hers }], grace)
  await chooseRowAction(page, 'conflict_mine', 'Remove from collection')
  await expect(page.getByText('The newest version of “Conflict” is 2, by Grace Tester.')).toBeVisible()
  await expect(row(page, 'Models', 'conflict_hers')).toBeVisible()
  expect(await listModelIds(registry, id)).toEqual([mine, hers])
})

test('a model with a newer version is marked and can be taken at that version', async ({ page, registry, signIn }) => {
  const model = await createModel(registry, 'loras/outdated.safetensors')
  const id = await createCollection(registry, 'Outdated', [model])
  await registerModel(registry, 'loras/outdated.safetensors', { bytes: buildSafetensors(2048), replaces: model })
  await waitUntilVerified(registry, model, 2)
  await signIn(registry.owner, `/collections/${id}`)
  await expect(row(page, 'Models', 'outdated')).toContainText('the model has v2')
  await page.getByRole('button', { name: 'Use current versions (1)' }).click()
  await expect(row(page, 'Models', 'outdated')).not.toContainText('the model has v2')
  expect((await readCollection(registry, id)).model_list).toMatchObject([{ model_id: model, version: 2 }])
})

test('an admin pins a collection, and its owner can then change neither its models nor delete it', async ({
  page,
  registry,
  signIn,
}) => {
  const model = await createModel(registry, 'loras/pinned.safetensors')
  const member = await registry.person('member')
  const { id } = await registry.call<{ id: string }>(member, 'POST', '/collections', {
    name: 'Pinned',
    model_list: [{ model_id: model }],
  })
  const isPinned = async () =>
    (await registry.call<{ is_pinned: boolean }>(member, 'GET', `/collections/${id}`)).is_pinned
  await signIn(registry.owner, `/collections/${id}`)
  await page.getByRole('button', { name: 'Pin versions', exact: true }).click()
  await expect(page.getByText('exactly the versions that it lists (pinned)')).toBeVisible()
  expect(await isPinned()).toBe(true)

  const other = await page.context().browser()?.newPage()
  if (!other) throw new Error('no browser')
  await signIn(member, `/collections/${id}`, other)
  await expect(other.getByRole('button', { name: 'Edit' })).toBeVisible()
  await expect(other.getByText('(pinned)')).toBeVisible()
  await expect(other.getByRole('combobox', { name: 'Add a model' })).toHaveCount(0)
  await expect(other.getByRole('button', { name: 'Delete' })).toHaveCount(0)
  await expect(other.getByRole('button', { name: 'Unpin versions' })).toHaveCount(0)
  await other.close()

  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('button', { name: 'Pin versions', exact: true })).toBeVisible()
  expect(await isPinned()).toBe(false)
})

test('a collection is accessible in light and dark and fits wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  const ids: string[] = []
  for (const name of ['ink_lines', 'ink_wash', 'a_long_name_'.repeat(8)])
    ids.push(await createModel(registry, `loras/portraits/${name}.safetensors`))
  const id = await createCollection(registry, 'Autumn book', ids)
  await registry.call(registry.owner, 'PUT', `/collections/${id}`, { note: 'The pages of the book, and its cover.' })
  await registerModel(registry, 'loras/portraits/ink_lines.safetensors', {
    bytes: buildSafetensors(4096),
    replaces: ids[0],
  })
  await registry.call(registry.owner, 'DELETE', `/models/${ids[1]}`)
  await addVersion(registry, id, [{ model_id: ids[0] ?? '', version: 1 }, { model_id: ids[2] ?? '' }])
  for (const label of ['gpu24', 'unused']) {
    await registry.call(registry.owner, 'POST', `/collections/${id}/subscriptions`, { label })
  }
  await signIn(registry.owner, '/account')
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [size, width] of Object.entries({ wide: 1280, medium: 768, narrow: 360 })) {
      for (const [view, path] of Object.entries({
        list: '/collections',
        newest: `/collections/${id}`,
        older: `/collections/${id}?version=1`,
      })) {
        await test.step(`${view} ${size} ${colorScheme}`, async () => {
          await page.emulateMedia({ colorScheme })
          await page.setViewportSize({ width, height: 800 })
          await page.goto(`${registry.url}${path}`)
          await expect(page.getByRole('table').first()).toBeVisible()
          await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
          await expectAccessible(page)
          await page.screenshot({
            path: join(SCREENS, `collections-${view}-${size}-${colorScheme}.png`),
            fullPage: true,
          })
          await expectNoHorizontalScroll(page)
        })
      }
    }
  }
})

test('a version lists what changed since the one before it', async ({ page, registry, signIn }) => {
  const kept = await createModel(registry, 'loras/diff_kept.safetensors')
  const dropped = await createModel(registry, 'loras/diff_dropped.safetensors')
  const added = await createModel(registry, 'loras/diff_added.safetensors')
  const id = await createCollection(registry, 'Differences', [kept, dropped])
  await registerModel(registry, 'loras/diff_kept.safetensors', { replaces: kept })
  await waitUntilVerified(registry, kept, 2)
  await addVersion(registry, id, [{ model_id: kept }, { model_id: added }])
  await signIn(registry.owner, `/collections/${id}`)
  await expect(page.getByRole('button', { name: 'What changed in version 1' })).toHaveCount(0)
  await page.getByRole('button', { name: 'What changed in version 2' }).click()
  const dialog = page.getByRole('dialog', { name: 'What changed in version 2 of “Differences”' })
  await expect(dialog.getByRole('row')).toHaveCount(4)
  await expect(row(page, 'Changes', 'diff_added')).toContainText('Added')
  await expect(row(page, 'Changes', 'diff_dropped')).toContainText('Removed')
  await expect(row(page, 'Changes', 'diff_kept')).toContainText(/Changed.*v1 to v2/)
  await checkLooks(page, 'what-changed')
})

test('changes of a version that do not load are shown after a retry', async ({ page, registry, signIn }) => {
  const model = await createModel(registry, 'loras/diff_lost.safetensors')
  const id = await createCollection(registry, 'Unreachable', [model])
  await addVersion(registry, id, [])
  await signIn(registry.owner, `/collections/${id}`)
  await page.route('**/versions/2/changes*', (route) => route.abort())
  await page.getByRole('button', { name: 'What changed in version 2' }).click()
  const dialog = page.getByRole('dialog', { name: /^What changed/ })
  await expect(dialog.getByRole('alert')).toBeVisible({ timeout: 60_000 })
  await page.unroute('**/versions/2/changes*')
  await dialog.getByRole('button', { name: 'Retry' }).click()
  await expect(row(page, 'Changes', 'diff_lost')).toContainText('Removed')
})
