// Collections: making and changing them, and where else the page names them.

import { chooseRowAction, createCollection, createModel, listModelIds, readCollection, row } from './collections'
import { expect, withRegistry } from './fixtures'
import { chooseModelAction } from './modelActions'
import { Machine } from './reportingMachine'

const test = withRegistry()

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
