// Collections: making and changing them, their versions, and where else the page names them.

import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { checkLooks, expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { chooseModelAction } from './modelActions'
import { buildSafetensors, registerModel } from './modelFiles'
import type { Person, Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

const SCREENS = join(import.meta.dirname, '../results/screens')

interface Entry {
  model_id: string
  version?: number
}

interface Collection {
  version: number
  note: string | null
  model_list: Required<Entry>[]
}

async function createModel(registry: Registry, path: string, facts: { by?: Person } = {}): Promise<string> {
  const { id } = await registerModel(registry, path, facts)
  await waitUntilVerified(registry, id, 1)
  return id
}

async function waitUntilVerified(registry: Registry, id: string, version: number): Promise<void> {
  const read = () => registry.call<{ verification: string; version: number }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(read).toMatchObject({ verification: 'verified', version })
}

async function createCollection(registry: Registry, name: string, ids: string[], by = registry.owner): Promise<string> {
  const model_list = ids.map((model_id) => ({ model_id }))
  const { id } = await registry.call<{ id: string }>(by, 'POST', '/collections', { name, model_list })
  return id
}

function addVersion(registry: Registry, id: string, model_list: Entry[], by = registry.owner): Promise<unknown> {
  return registry.call(by, 'POST', `/collections/${id}/versions`, { model_list })
}

function readCollection(registry: Registry, id: string): Promise<Collection> {
  return registry.call<Collection>(registry.owner, 'GET', `/collections/${id}`)
}

async function listModelIds(registry: Registry, id: string): Promise<string[]> {
  return (await readCollection(registry, id)).model_list.map(({ model_id }) => model_id)
}

function row(page: Page, table: string, text: string) {
  return page.getByRole('table', { name: table, exact: true }).getByRole('row').filter({ hasText: text })
}

async function chooseRowAction(page: Page, name: string, action: string): Promise<void> {
  await page.getByRole('button', { name: `Actions for ${name}` }).click()
  await page.getByRole('menuitem', { name: action }).click()
}

test('creating a collection and adding models by search makes versions that undo reverts', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const ink = await createModel(registry, 'loras/campaign_ink.safetensors')
  await signIn(registry.owner, '/models')
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Collections' }).click()
  await expect(page.getByRole('heading', { name: 'No collections yet' })).toBeVisible()
  await page.getByRole('button', { name: 'New collection' }).click()
  const dialog = page.getByRole('dialog', { name: 'New collection' })
  await dialog.getByLabel('Name').fill('Winter campaign')
  await dialog.getByLabel('Note').fill('All shots of act 2.')
  await dialog.getByRole('button', { name: 'Create' }).click()

  await expect(page.getByRole('heading', { name: 'Winter campaign', level: 1 })).toBeVisible()
  await expect(page.getByText('This version has no models.')).toBeVisible()
  const id = new URL(page.url()).pathname.split('/').at(-1) ?? ''
  const search = page.getByRole('combobox', { name: 'Add a model' })
  await search.fill('campaign_ink')
  await page.getByRole('option', { name: /campaign_ink/ }).click()
  await expect(row(page, 'Models', 'campaign_ink')).toContainText('Available')
  await expect(row(page, 'Models', 'campaign_ink').getByRole('link')).toHaveAttribute('href', `/models/${ink}`)
  await expect(row(page, 'Versions', 'v2')).toContainText('newest, shown')
  await search.fill('campaign_ink')
  await expect(page.getByText('No other models match.')).toBeVisible()
  await search.press('Escape')

  await chooseRowAction(page, 'campaign_ink', 'Remove from collection')
  await expect(page.getByText('This version has no models.')).toBeVisible()
  await page
    .getByRole('alert')
    .filter({ hasText: '“campaign_ink” was removed' })
    .getByRole('button', { name: 'Undo' })
    .click()
  await expect(row(page, 'Models', 'campaign_ink')).toBeVisible()
  expect(await readCollection(registry, id)).toMatchObject({ version: 4, note: 'All shots of act 2.' })

  await page.getByRole('link', { name: 'All collections' }).click()
  await expect(row(page, 'Collections', 'Winter campaign')).toContainText('All shots of act 2.')
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: /^Jump to/ }).fill('winter')
  await page.getByRole('option', { name: /Winter campaign/ }).click()
  await expect(page).toHaveURL(`${registry.url}/collections/${id}`)
})

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
  await expect(page.getByText('Grace Tester made version 2 of “Conflict” meanwhile.')).toBeVisible()
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

test('a collection is renamed unless the name is taken, and deleted after a question', async ({
  page,
  registry,
  signIn,
}) => {
  await createCollection(registry, 'Taken', [])
  const id = await createCollection(registry, 'Old name', [])
  await signIn(registry.owner, `/collections/${id}`)
  await page.getByRole('button', { name: 'Edit', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Edit collection' })
  await dialog.getByLabel('Name').fill('taken')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(dialog.getByText('Another collection has this name')).toBeVisible()
  await dialog.getByLabel('Name').fill('New name')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('heading', { name: 'New name', level: 1 })).toBeVisible()

  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('button', { name: 'Delete collection' }).click()
  await expect(page.getByText('“New name” was deleted.')).toBeVisible()
  await expect(row(page, 'Collections', 'Taken')).toBeVisible()
  await expect(row(page, 'Collections', 'New name')).toHaveCount(0)
  await page.goto(`${registry.url}/collections/${id}`)
  await expect(page.getByRole('heading', { name: 'Collection not found' })).toBeVisible()
})

test('selected models are added to a new collection and to one that exists', async ({ page, registry, signIn }) => {
  const ids: string[] = []
  for (const number of [1, 2, 3]) ids.push(await createModel(registry, `loras/bulk_${number}.safetensors`))
  const existing = await createCollection(registry, 'Existing', ids.slice(2))
  await signIn(registry.owner, '/models?view=table&q=bulk_')
  for (const number of [1, 2]) {
    await page.getByRole('checkbox', { name: `Select bulk_${number}`, exact: true }).click()
  }
  const bar = page.getByRole('region', { name: 'Selected models' })
  await bar.getByRole('button', { name: 'Add to collection…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add 2 models to a collection' })
  await dialog.getByLabel('Name').fill('From the list')
  await dialog.getByRole('button', { name: 'Create collection' }).click()
  await expect(page.getByText('“From the list” was created with 2 models.')).toBeVisible()

  await bar.getByRole('button', { name: 'Add to collection…' }).click()
  await dialog.getByLabel('Name').fill('existing')
  await dialog.getByRole('button', { name: 'Create collection' }).click()
  await dialog.getByRole('button', { name: 'Choose “Existing”' }).click()
  await expect(dialog.getByText('Models that it has already get the version that they have now.')).toBeVisible()
  await dialog.getByRole('button', { name: 'Add', exact: true }).click()
  await expect(page.getByText('2 models added to “Existing”.')).toBeVisible()
  expect((await listModelIds(registry, existing)).toSorted()).toEqual(ids.toSorted())
})

test('the models of a checked workflow are saved as a collection with its name', async ({ page, registry, signIn }) => {
  const model = await createModel(registry, 'loras/from_workflow.safetensors')
  const nodes = ['from_workflow.safetensors', 'zz_missing.safetensors'].map((lora_name, place) => [
    String(place),
    { class_type: 'LoraLoader', inputs: { lora_name } },
  ])
  const buffer = Buffer.from(JSON.stringify(Object.fromEntries(nodes)))
  await signIn(registry.owner, '/workflows')
  await page
    .getByTestId('workflows')
    .setInputFiles([{ name: 'portrait.json', mimeType: 'application/octet-stream', buffer }])
  await page.getByRole('button', { name: 'Save the models of portrait.json as collection…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add 1 model to a collection' })
  await expect(dialog.getByLabel('Name')).toHaveValue('portrait')
  await dialog.getByRole('button', { name: 'Create collection' }).click()
  await expect(page.getByText('“portrait” was created with 1 model.')).toBeVisible()
  await page.goto(`${registry.url}/models/${model}`)
  await expect(page.getByRole('region', { name: 'What it is' }).getByRole('link', { name: 'portrait' })).toBeVisible()
})

test('deleting a model that collections have asks first and names them', async ({ page, registry, signIn }) => {
  const model = await createModel(registry, 'loras/in_use.safetensors')
  const id = await createCollection(registry, 'In use', [model])
  await signIn(registry.owner, `/models/${model}`)
  await chooseModelAction(page, 'Delete')
  const dialog = page.getByRole('dialog', { name: 'Delete “in_use”?' })
  await expect(dialog).toContainText('It is in the collection “In use”.')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await expect(dialog).toHaveCount(0)
  await chooseModelAction(page, 'Delete')
  await dialog.getByRole('button', { name: 'Delete model' }).click()
  await expect(page.getByText('“in_use” was moved to the trash.')).toBeVisible()
  expect((await readCollection(registry, id)).model_list).toMatchObject([{ is_available: false }])
})

test('an admin subscribes a label and a machine to a collection and ends a subscription', async ({
  page,
  registry,
  signIn,
}) => {
  const model = await createModel(registry, 'loras/subscribed.safetensors')
  await registry.call(registry.owner, 'PUT', `/models/${model}`, { required_labels: ['nowhere'] })
  const id = await createCollection(registry, 'Subscribed', [model])
  await Machine.create(registry, 'render-07')
  await Machine.create(registry, 'render-08')
  await registry.call(registry.owner, 'PUT', '/agents/render-07', { agent_labels: ['gpu24'] })
  const listReasons = async (machine: string) => {
    const path = `/agents/${machine}/models`
    const { agent_model_list } = await registry.call<{ agent_model_list: object[] }>(registry.owner, 'GET', path)
    return agent_model_list.filter((one) => 'model_id' in one && one.model_id === model)
  }
  await signIn(registry.owner, `/collections/${id}`)
  const field = page.getByRole('combobox', { name: 'Subscribe machines' })
  await field.fill('gpu')
  await page.getByRole('option', { name: 'gpu24' }).click()
  await expect(row(page, 'Subscriptions', 'All with the label gpu24').getByRole('link')).toHaveText(['render-07'])
  await field.fill('render-08')
  await page.getByRole('group', { name: 'Machine', exact: true }).getByRole('option', { name: 'render-08' }).click()
  await expect(row(page, 'Subscriptions', 'render-08')).toBeVisible()
  expect(await listReasons('render-07')).toMatchObject([{ desired_by: 'subscription' }])
  expect(await listReasons('render-08')).toMatchObject([{ desired_by: 'subscription' }])

  await page.getByRole('button', { name: 'End the subscription of gpu24' }).click()
  await expect(page.getByText('Machines with the label “gpu24” are no longer subscribed')).toBeVisible()
  expect(await listReasons('render-07')).toEqual([])
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await expect(row(page, 'Subscriptions', 'All with the label gpu24')).toBeVisible()
  await expect.poll(() => listReasons('render-07')).toMatchObject([{ desired_by: 'subscription' }])
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

test('viewers and members see the collections of others without buttons that change them', async ({
  page,
  registry,
  signIn,
}) => {
  const viewer = await registry.person('viewer')
  const member = await registry.person('member')
  const id = await createCollection(registry, 'Read only', [await createModel(registry, 'loras/read_only.safetensors')])
  const own = await createCollection(registry, 'Own of a member', [], member)
  const main = page.getByRole('main')
  await signIn(viewer, '/collections')
  await expect(row(page, 'Collections', 'Read only')).toBeVisible()
  await expect(main.getByRole('button')).toHaveCount(0)
  await row(page, 'Collections', 'Read only').getByRole('link').click()
  await expect(row(page, 'Models', 'read_only')).toContainText('Available')
  await expect(main.getByRole('button')).toHaveCount(0)
  await expect(main.getByRole('combobox')).toHaveCount(0)

  const other = await page.context().browser()?.newPage()
  if (!other) throw new Error('no browser')
  await signIn(member, `/collections/${id}`, other)
  await expect(row(other, 'Models', 'read_only')).toContainText('Available')
  await expect(other.getByRole('main').getByRole('button')).toHaveCount(0)
  await other.goto(`${registry.url}/collections/${own}`)
  await expect(other.getByRole('main').getByRole('button', { name: 'Edit' })).toBeVisible()
  await other.close()
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
