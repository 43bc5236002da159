// The page of a model: its address, how to use it, and its place in the list.

import { getLoaderName, getPromptText, parseWeight } from '../src/features/models/facts/promptText'
import { BASE_MODELS } from '../src/generated/baseModels'
import { readClipboard } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { ReportingMachine } from './machines'
import { chooseModelAction, listOffered } from './modelActions'
import { buildSafetensors, registerModel } from './modelFiles'

const test = withRegistry()

test('the page of a model has its own address and says how to use the model', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
  context,
}) => {
  const bytes = buildSafetensors(2048, {
    'modelspec.trigger_phrase': 'inkwsh, ink wash',
    'modelspec.usage_hint': '0.6-0.9',
  })
  const { id } = await registerModel(registry, 'loras/styles/inkwash_v2.safetensors', { bytes })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(registry.owner, `/models/${id}`)
  const use = page.getByRole('region', { name: 'Use it' })
  await expect(page.getByRole('heading', { level: 1, name: 'inkwash_v2' })).toBeVisible()
  await expect(use).toContainText('0.6-0.9 · from the file’s usage hint')
  await use.getByRole('button', { name: 'Copy inkwsh' }).click()
  await expect.poll(() => readClipboard(page)).toBe('inkwsh')
  await use.getByRole('button', { name: 'Copy all' }).click()
  await expect.poll(() => readClipboard(page)).toBe('inkwsh, ink wash')
  await use.getByRole('button', { name: 'Copy prompt text' }).click()
  await expect.poll(() => readClipboard(page)).toBe('<lora:inkwash_v2:0.8>')
  await use.getByRole('button', { name: 'Copy file name' }).click()
  await expect.poll(() => readClipboard(page)).toBe('styles/inkwash_v2.safetensors')
  const arriving = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download' }).click()
  expect((await arriving).suggestedFilename()).toBe('inkwash_v2.safetensors')
})

test('the page of a model steps through the list from which it was opened', async ({ page, registry, signIn }) => {
  for (const name of ['step-a', 'step-b', 'step-c']) await registerModel(registry, `vae/${name}.safetensors`)
  await signIn(registry.owner, '/models?q=step&sort=display_name')
  await page.getByRole('link', { name: 'step-b' }).click()
  await page.getByRole('dialog').getByRole('link', { name: 'Open page' }).click()
  const place = page.getByRole('navigation', { name: 'Place in the list' })
  await expect(place).toContainText('2 of 3')
  await place.getByRole('link', { name: 'Next model' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'step-c' })).toBeVisible()
  await page.keyboard.press('[')
  await expect(page.getByRole('heading', { level: 1, name: 'step-b' })).toBeVisible()
  // A form that was left is not opened again.
  await chooseModelAction(page, 'Edit')
  await page.getByRole('button', { name: 'Cancel' }).focus()
  await page.keyboard.press(']')
  await expect(page.getByRole('heading', { level: 1, name: 'step-c' })).toBeVisible()
  await page.keyboard.press('[')
  await expect(page.getByRole('heading', { level: 1, name: 'step-b' })).toBeVisible()
  await expect(page.getByRole('heading', { name: /^Edit/ })).toHaveCount(0)
  await page.reload()
  await expect(place).toContainText('2 of 3')
  await place.getByRole('link', { name: 'Models' }).click()
  await expect(page).toHaveURL(/\/models\?q=step&sort=display_name$/)
})

for (const width of [1440, 380]) {
  test(`the main action of a model's page is to send it, and rarer ones are in a menu (${width} px)`, async ({
    page,
    registry,
    signIn,
  }) => {
    const { id } = await registerModel(registry, `loras/menu-${width}.safetensors`)
    await page.setViewportSize({ width, height: 900 })
    await signIn(registry.owner, `/models/${id}`)
    await expect(page.getByRole('button', { name: 'Send to…' })).toHaveCount(1)
    await expect(page.getByRole('button', { name: 'Download' })).toBeVisible()
    // The focus goes through the buttons in the order in which they are seen.
    const order = width === 380 ? ['Send to…', 'Download'] : ['Download', 'Send to…']
    await page.getByRole('button', { name: order[0] ?? '', exact: true }).focus()
    await page.keyboard.press('Tab')
    await expect(page.getByRole('button', { name: order[1] ?? '', exact: true })).toBeFocused()
    for (const name of ['Edit', 'Disable', 'Delete'])
      await expect(page.getByRole('button', { name, exact: true })).toHaveCount(0)
    const size = (name: string) =>
      page.getByRole('heading', { name }).evaluate((heading) => getComputedStyle(heading).fontSize)
    expect(await size('Use it')).toBe('15px')
    expect(await size(`menu-${width}`)).toBe('20px')
    await page.getByRole('button', { name: 'More actions' }).click()
    await expect(page.getByRole('menuitem')).toHaveText(['Copy link', 'Edit', 'Disable', 'Delete'])
    await page.getByRole('menuitem', { name: 'Edit' }).click()
    await page.getByRole('textbox', { name: 'Name' }).fill(`renamed-${width}`)
    await page.getByRole('button', { name: 'Save' }).click()
    await expect(page.getByRole('heading', { level: 1, name: `renamed-${width}` })).toBeVisible()
    await chooseModelAction(page, 'Disable')
    await expect(page.getByRole('alert').filter({ hasText: 'Machines remove a disabled model' })).toBeVisible()
    await chooseModelAction(page, 'Delete')
    await expect(page).toHaveURL(/\/models$/)
    await expect(page.getByText(`“renamed-${width}” was moved to the trash.`)).toBeVisible()
  })
}

test('the address of an unknown model says that it was not found', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/models/0198c5a0-0000-7000-8000-000000000000')
  await expect(page.getByRole('heading', { name: 'Model not found' })).toBeVisible()
})

test('a model whose inspection failed is not being verified, and says why it waits', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/waits.safetensors')
  const waits = { verification: 'pending', verification_error: 'The inspection of this file failed.' }
  await page.route(`**/api/v1/models/${id}`, async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, json: { ...(await answer.json()), ...waits } })
  })
  await signIn(registry.owner, `/models/${id}`)
  await expect(page.getByRole('alert').filter({ hasText: waits.verification_error })).toContainText('Not verified yet')
  await expect(page.getByText('Being verified')).toHaveCount(0)
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the page of a model is accessible and fits wide and narrow screens (${colorScheme})`, async ({
    page,
    registry,
    signIn,
  }) => {
    const { id } = await registerModel(registry, `loras/looks-${colorScheme}-${'long'.repeat(20)}.safetensors`)
    await page.emulateMedia({ colorScheme })
    await signIn(registry.owner, `/models/${id}`)
    await expect(page.getByRole('region', { name: 'History' })).toContainText('registered loras/')
    for (const width of [380, 1440, 3840]) {
      await page.setViewportSize({ width, height: 900 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: `results/screenshots/model-page-${colorScheme}-${width}.png` })
    }
  })
}

test('a person corrects the base model and the trigger words, and returns to those of the file', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(2048, { 'modelspec.trigger_phrase': 'from-file' })
  const { id } = await registerModel(registry, 'loras/corrected.safetensors', { bytes })
  await signIn(registry.owner, `/models/${id}`)
  const what = page.getByRole('region', { name: 'What it is' })
  await what.getByRole('button', { name: 'Edit base model' }).click()
  const base = page.getByRole('dialog', { name: 'Base model' })
  const field = base.getByRole('combobox', { name: 'Base model' })
  expect(await listOffered(field)).toEqual(BASE_MODELS)
  await field.fill('Pony')
  await expectAccessible(page)
  await base.getByRole('button', { name: 'Save' }).click()
  await expect(what).toContainText('Pony')
  await expect(what).toContainText('entered by a person')
  // A name that is not offered.
  await what.getByRole('button', { name: 'Edit base model' }).click()
  await field.fill('Our own base')
  await field.press('Enter')
  await expect(what).toContainText('Our own base')
  await what.getByRole('button', { name: 'Edit base model' }).click()
  await base.getByRole('button', { name: 'Reset to the file’s value' }).click()
  await expect(what).toContainText('Unknown')

  const use = page.getByRole('region', { name: 'Use it' })
  await use.getByRole('button', { name: 'Edit trigger words' }).click()
  const words = page.getByRole('dialog', { name: 'Trigger words' })
  for (const word of ['kaori style', 'kaori']) {
    await words.getByRole('combobox').fill(word)
    await words.getByRole('combobox').press('Enter')
  }
  await words.getByRole('button', { name: 'Save' }).click()
  await expect(use.getByRole('button', { name: 'Copy kaori', exact: true })).toBeVisible()
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await expect(use.getByRole('button', { name: 'Copy kaori', exact: true })).toHaveCount(0)
  const now = await registry.call<{ trigger_words: object[] }>(registry.owner, 'GET', `/models/${id}`)
  expect(now.trigger_words).toEqual([{ text: 'from-file', source: 'file' }])
})

test('a viewer sees what a model is, and cannot change it', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/read-only.safetensors')
  await signIn(await registry.person('viewer'), `/models/${id}`)
  const what = page.getByRole('region', { name: 'What it is' })
  await expect(what).toContainText('Base model')
  await expect(what.getByRole('button', { name: 'Edit base model' })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Add trigger words' })).toHaveCount(0)
})

test('getPromptText and getLoaderName give what prompts and loaders read', { tag: '@core' }, () => {
  const lora = { model_type: 'loras', model_path: 'models/loras/styles/ink.v2.safetensors' }
  expect(getPromptText(lora, 0.8)).toBe('<lora:ink.v2:0.8>')
  expect(getLoaderName(lora)).toBe('styles/ink.v2.safetensors')
  expect(getPromptText({ model_type: 'vae', model_path: 'vae/a.safetensors' }, 1)).toBeUndefined()
  expect(getLoaderName({ model_path: 'vae/a.safetensors' })).toBe('a.safetensors')
})

test('parseWeight takes the middle of a range, a single weight, or 1', { tag: '@core' }, () => {
  const cases = [
    ['0.6-0.9', 0.8],
    ['Strength 0.6 to 0.9.', 0.8],
    ['weight 0,7', 0.7],
    ['Use 30 steps', 1],
    ['', 1],
    [null, 1],
  ] as const
  for (const [hint, weight] of cases) expect(parseWeight(hint)).toBe(weight)
})

test('a model is sent to a machine that its labels exclude, and that can be taken back', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/sent.safetensors', { required_labels: ['elsewhere'] })
  await ReportingMachine.create(registry, 'send-a', {}, ['elsewhere'])
  const machine = await ReportingMachine.create(registry, 'send-b')
  await signIn(registry.owner, `/models/${id}`)
  const places = page.getByRole('region', { name: 'Where it is' })
  await expect(places).toContainText('On 0 of 1 machine')
  const besideTheName = page.getByTitle('On 0 of 1 machine')
  await expect(besideTheName).toBeHidden()
  await page.setViewportSize({ width: 380, height: 800 })
  await expect(besideTheName).toBeVisible()
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.getByRole('button', { name: 'Send to…' }).click()
  const dialog = page.getByRole('dialog', { name: /Send “sent” to/ })
  await expect(dialog.getByLabel('send-a')).toBeDisabled()
  await expect(dialog).toContainText('Gets it by its labels')
  await dialog.getByLabel('send-b').check()
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Send to 1 machine' }).click()
  await expect(page.getByText('Sent to 1 machine')).toBeVisible()
  const row = places.getByRole('listitem').filter({ hasText: 'send-b' })
  await expect(row).toContainText('assigned')
  await machine.report({}, [{ model_id: id, state: 'downloading', bytes_done: 500 }])
  await expect(row.getByRole('progressbar')).toBeVisible()
  await page.goto(`${registry.url}/machines?machine=send-b`)
  const sent = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'loras/sent.safetensors' }) })
  await expect(sent).toContainText('Sent by a person')
  await page.getByRole('button', { name: 'Stop sending sent' }).click()
  await expect(sent).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(sent).toContainText('Sent by a person')
})

test('a model that ComfyUI does not load on a machine counts as being on it, and is marked', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/unlisted.safetensors', { required_labels: ['unlisted'] })
  const reason = 'ComfyUI reads no folder that has it.'
  for (const [name, facts] of [
    ['unlisted-a', {}],
    ['unlisted-b', { reason }],
  ] as const) {
    const machine = await ReportingMachine.create(registry, name, {}, ['unlisted'])
    await machine.report({}, [{ model_id: id, state: 'ready', bytes_done: 1102, ...facts }])
  }
  await signIn(registry.owner, `/models/${id}`)
  const places = page.getByRole('region', { name: 'Where it is' })
  await expect(places).toContainText('On 2 of 2 machines, 1 not loaded')
  const row = places.getByRole('listitem').filter({ hasText: 'unlisted-b' })
  await expect(row).toContainText('Ready, not loaded')
  await expect(row).toContainText(reason)
  await page.goto(`${registry.url}/machines?view=matrix`)
  await expect(page.getByRole('rowheader', { name: 'unlisted' })).toContainText('2 of 2, 1 not loaded')
  await page.goto(`${registry.url}/models?q=unlisted`)
  await expect(page.getByTitle('On 2 of 2 machines, 1 not loaded')).toHaveText('1 not loaded')
})

test('a model on more machines than are listed is counted on all of them', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/many-places.safetensors', { required_labels: ['many'] })
  for (const name of ['many-a', 'many-b', 'many-c']) {
    const machine = await ReportingMachine.create(registry, name, {}, ['many'])
    await machine.report({}, [{ model_id: id, state: 'ready', bytes_done: 1102 }])
  }
  // As with more than 100 machines, of which one page is read.
  await page.route(/\/agents\?per_page=100/, (route) =>
    route.continue({ url: route.request().url().replace('per_page=100', 'per_page=1') }),
  )
  await signIn(registry.owner, `/models/${id}`)
  const places = page.getByRole('region', { name: 'Where it is' })
  await expect(places).toContainText('On 3 of 3 machines')
  await expect(places).toContainText('and 2 more')
})

test('undo of sending models ends only the assignments that it made', async ({ page, registry, signIn }) => {
  const labels = { required_labels: ['nowhere'] }
  const { id: before } = await registerModel(registry, 'loras/undo-sent-a.safetensors', labels)
  const { id: fresh } = await registerModel(registry, 'loras/undo-sent-b.safetensors', labels)
  await ReportingMachine.create(registry, 'undo-machine')
  await registry.call(registry.owner, 'PUT', `/agents/undo-machine/models/${before}`)
  await signIn(registry.owner, '/models?q=undo-sent&view=table')
  for (const name of ['undo-sent-a', 'undo-sent-b'])
    await page.getByRole('checkbox', { name: `Select ${name}` }).click()
  await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Send to…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Send 2 models to…' })
  await dialog.getByLabel('undo-machine').check()
  await dialog.getByRole('button', { name: 'Send to 1 machine' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  const listSent = async () => {
    const path = '/agents/undo-machine/models?per_page=100'
    const { agent_model_list: all } = await registry.call<{
      agent_model_list: { model_id: string; desired_by: string }[]
    }>(registry.owner, 'GET', path)
    return all.filter(({ desired_by }) => desired_by === 'assignment').map(({ model_id }) => model_id)
  }
  await expect.poll(listSent).not.toContain(fresh)
  expect(await listSent()).toContain(before)
})

test('a person who said that there are no trigger words returns to those of the file', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(2048, { 'modelspec.trigger_phrase': 'from-file' })
  const { id } = await registerModel(registry, 'loras/emptied.safetensors', { bytes })
  await registry.call(registry.owner, 'PUT', `/models/${id}`, { trigger_words: [] })
  await signIn(registry.owner, `/models/${id}`)
  const use = page.getByRole('region', { name: 'Use it' })
  await use.getByRole('button', { name: 'Add trigger words' }).click()
  await page
    .getByRole('dialog', { name: 'Trigger words' })
    .getByRole('button', { name: 'Reset to the file’s value' })
    .click()
  await expect(use.getByRole('button', { name: 'Copy from-file' })).toBeVisible()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(use.getByRole('button', { name: 'Copy from-file' })).toHaveCount(0)
})
