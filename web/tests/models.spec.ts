import { crc32 as computeCrc32 } from 'node:zlib'
import { readClipboard } from './accounts'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { chooseModelAction } from './modelActions'
import { buildSafetensors, registerModel } from './modelFiles'
import { Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

// Each test looks for its own models, so that those of others on the same registry do not matter.
const crc32 = (bytes: Buffer) => computeCrc32(bytes).toString(16).padStart(8, '0')
const createUniqueName = (word: string) => `${word}-${Math.random().toString(36).slice(2, 8)}`

test('typing a part of a name or tag filters the model list, and the search survives a reload', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('ink')
  await registerModel(registry, `loras/${word}.safetensors`, { tags: [`${word}-tag`] })
  await registerModel(registry, `loras/${createUniqueName('other')}.safetensors`)
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('gridcell').nth(1)).toBeVisible()
  await page.getByRole('combobox', { name: 'Search models' }).pressSequentially(`${word}-t`)
  await expect(page.getByRole('link', { name: word })).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: /^1 of \d+ models$/ })).toBeVisible()
  await expect(page).toHaveURL(new RegExp(`q=${word}-t`))
  await page.reload()
  await expect(page.getByRole('combobox', { name: 'Search models' })).toHaveValue(`${word}-t`)
  await expect(page.getByRole('link', { name: word })).toBeVisible()
})

test('typing a new search cancels the request of the previous one', async ({ page, registry, signIn }) => {
  const word = createUniqueName('late')
  await registerModel(registry, `loras/${word}.safetensors`)
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('link', { name: word })).toBeVisible()
  // The first answer is held back until the second one is there.
  let release = () => {}
  const held = new Promise<void>((free) => {
    release = free
  })
  await page.route(/cursor=.*q=nothing-like-it|q=nothing-like-it.*cursor=/, async (route) => {
    await held
    await route.continue().catch(() => undefined)
  })
  const cancelled = page.waitForEvent('requestfailed', (request) => request.url().includes('nothing-like-it'))
  const search = page.getByRole('combobox', { name: 'Search models' })
  const asked = page.waitForRequest((request) => request.url().includes('nothing-like-it'))
  await search.fill('nothing-like-it')
  await asked
  await search.fill(word)
  await cancelled
  release()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(page.getByRole('link', { name: word })).toBeVisible()
})

test('filters and sort order are kept in the URL, and the back button restores them', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('filter')
  await registerModel(registry, `loras/${word}-a.safetensors`)
  const off = await registerModel(registry, `vae/${word}-b.safetensors`)
  await registry.call(registry.owner, 'PUT', `/models/${off.id}`, { model_status: 'disabled' })
  await signIn(registry.owner, `/models?view=table&q=${word}`)
  const rows = page.getByRole('row').filter({ hasText: word })
  const filters = page.getByRole('complementary', { name: 'Filters' })
  await expect(rows).toHaveCount(2)
  await filters.getByRole('checkbox', { name: 'VAE' }).click()
  await expect(rows).toHaveCount(1)
  await filters.getByRole('checkbox', { name: 'Damaged or failed' }).click()
  await expect(page.getByRole('heading', { name: 'No models match' })).toBeVisible()
  await page.goBack()
  await expect(rows).toHaveCount(1)
  await expect(rows).toContainText('Disabled')
  await expect(page).toHaveURL(/q=type%3Avae/)
  await page.getByRole('button', { name: 'Clear filters' }).click()
  await page.getByRole('combobox', { name: 'Search models' }).fill(word)
  await expect(rows).toHaveCount(2)
  await page.getByRole('button', { name: 'Name' }).click()
  await expect(page.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'ascending')
  await expect(rows.first()).toContainText(`${word}-a`)
  await page.getByRole('button', { name: 'Name' }).click()
  await expect(rows.first()).toContainText(`${word}-b`)
  await expect(page).toHaveURL(/sort=-display_name/)
})

test('the model drawer shows the live state of the model on each machine with the reason of a failure', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('fleet')
  const model = await registerModel(registry, `loras/${word}.safetensors`, { required_labels: [word] })
  const machine = await Machine.create(registry, word)
  await registry.call(registry.owner, 'PUT', `/agents/${word}`, { agent_labels: [word] })
  await machine.report([{ model_id: model.id, state: 'downloading', bytes_done: 300 }])
  await signIn(registry.owner, `/models?q=is:missing+${word}`)
  await page.getByRole('link', { name: word }).click()
  const machines = page.getByRole('dialog').getByRole('region', { name: 'Where it is' })
  await expect(machines).toContainText('Downloading')
  await expect(machines.getByRole('progressbar')).toHaveAttribute('aria-valuenow', /^[1-9]/)
  await machine.report([{ model_id: model.id, state: 'failed', reason: 'The disk is full.' }])
  await expect(machines).toContainText('The disk is full.')
  await machine.report([{ model_id: model.id, state: 'ready', bytes_done: 1102 }])
  await expect(machines).toContainText('On 1 of 1 machine')
  await machine.remove()
})

test('the model drawer shows both hashes and the file metadata, and copies them', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  const word = createUniqueName('said')
  const bytes = buildSafetensors(2048, {
    'modelspec.trigger_phrase': 'inkstyle, bold lines',
    'modelspec.author': 'Wren',
  })
  const model = await registerModel(registry, `loras/${word}.safetensors`, { bytes })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog')
  await expect(details.getByRole('region', { name: 'Hashes' })).toContainText(model.file_hash.slice(7))
  await expect(details.getByRole('button', { name: 'Copy BLAKE3' })).toBeVisible()
  await details.getByRole('button', { name: 'Copy SHA-256' }).click()
  await expect.poll(() => readClipboard(page)).toBe(model.file_hash)
  await details.getByRole('region', { name: 'Use it' }).getByRole('button', { name: 'Copy all' }).click()
  await expect.poll(() => readClipboard(page)).toBe('inkstyle, bold lines')
  const output = details.getByRole('region', { name: 'What it is' })
  await output.getByText('All metadata').click()
  await expect(output).toContainText('Wren')
})

test('an entered author replaces that of the file, which an empty text brings back', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(2048, { 'modelspec.author': 'Wren', 'modelspec.license': 'MIT' })
  const model = await registerModel(registry, `loras/${createUniqueName('said')}.safetensors`, { bytes })
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog')
  const facts = details.getByRole('region', { name: 'What it is' })
  await expect(facts).toContainText('Wrendeclared by the file')
  await expect(facts).toContainText('MITdeclared by the file')
  const author = details.getByRole('textbox', { name: 'Author' })
  for (const [before, entered, shown] of [
    ['', 'Kaori', 'Kaorientered by a person'],
    ['Kaori', '', 'Wrendeclared by the file'],
  ] as const) {
    await chooseModelAction(page, 'Edit')
    await expect(author).toHaveValue(before)
    await author.fill(entered)
    // By key: the notice of the change before is over the button.
    await details.getByRole('button', { name: 'Save' }).press('Enter')
    await expect(facts).toContainText(shown)
    await expect(facts).toContainText('MITdeclared by the file')
  }
})

test('the best matches of a word are first until another order is chosen', async ({ page, registry, signIn }) => {
  const word = createUniqueName('best')
  const [inName, inTag] = [`${word}-of-all`, createUniqueName('other')]
  await registerModel(registry, `loras/${inName}.safetensors`)
  await registerModel(registry, `loras/${inTag}.safetensors`, { tags: [word] })
  await signIn(registry.owner, '/models')
  const order = page.getByRole('combobox', { name: 'Sort' })
  const names = page.getByRole('gridcell').getByRole('link')
  await expect(order.getByRole('option', { name: 'Best match' })).toHaveCount(0)
  await expect(order).toHaveValue('-created_at')
  await page.getByRole('combobox', { name: 'Search models' }).fill(word)
  await expect(names).toHaveText([inName, inTag])
  await expect(order).toHaveValue('best')
  await order.selectOption('Newest')
  await expect(names).toHaveText([inTag, inName])
  await expect(page).toHaveURL(/sort=-created_at/)
  await order.selectOption('Best match')
  await expect(names).toHaveText([inName, inTag])
  await expect(page).not.toHaveURL(/sort=/)
})

test('a search by hash finds the model, whose drawer tells known hashes from claimed ones', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('hashed')
  const claimed = 'c1a1'.repeat(16)
  const bytes = buildSafetensors(2048, { 'modelspec.hash_sha256': `0x${claimed}` })
  const model = await registerModel(registry, `loras/${word}.safetensors`, { bytes })
  const autov2 = model.file_hash.slice(7, 17)
  await signIn(registry.owner, '/models')
  const search = page.getByRole('combobox', { name: 'Search models' })
  await search.fill(autov2.toUpperCase())
  await expect(page.getByRole('status').filter({ hasText: /^1 of \d+ models$/ })).toBeVisible()
  await page.getByRole('link', { name: word }).click()
  const hashes = page.getByRole('dialog').getByRole('region', { name: 'Hashes', exact: true })
  await expect(hashes.getByText(autov2, { exact: true })).toBeVisible()
  await expect(hashes.getByText(crc32(bytes), { exact: true })).toBeVisible({ timeout: 30_000 })
  await expect(hashes.getByRole('region', { name: 'Claimed hashes' })).toContainText(claimed)
  await expectAccessible(page)
  await page.keyboard.press('Escape')
  await search.fill(claimed)
  await expect(page.getByRole('heading', { name: 'No models match' })).toBeVisible()
})

test('the download button downloads a file with the name of the model file', async ({ page, registry, signIn }) => {
  const word = createUniqueName('down')
  const model = await registerModel(registry, `loras/${word}.safetensors`)
  await signIn(registry.owner, `/models?model=${model.id}`)
  const arriving = page.waitForEvent('download')
  await page.getByRole('dialog').getByRole('button', { name: 'Download' }).click()
  expect((await arriving).suggestedFilename()).toBe(`${word}.safetensors`)
})

test('an edit saves only changed fields, shows in the list, and can be undone', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('edit')
  const model = await registerModel(registry, `loras/${word}.safetensors`, { tags: ['old'] })
  await signIn(registry.owner, `/models?q=${word}`)
  await page.getByRole('link', { name: word }).click()
  const details = page.getByRole('dialog')
  await chooseModelAction(page, 'Edit')
  await details.getByRole('textbox', { name: 'Name' }).fill(`${word} of the house`)
  await details.getByRole('combobox', { name: 'Tags' }).fill('night')
  await details.getByRole('combobox', { name: 'Tags' }).press('Enter')
  await details.getByRole('textbox', { name: 'Licence' }).fill('CC-BY-4.0')
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(details.getByRole('heading', { name: `${word} of the house` })).toBeVisible()
  // A notice under the mouse stays.
  await page.getByText('Saved.').hover()
  const notice = await page.locator('.mantine-Notification-root').boundingBox()
  const drawer = await details.boundingBox()
  expect((notice?.x ?? 0) + (notice?.width ?? 0)).toBeLessThanOrEqual(drawer?.x ?? 0)
  const saved = await registry.call<Record<string, unknown>>(registry.owner, 'GET', `/models/${model.id}`)
  expect(saved).toMatchObject({ tags: ['old', 'night'], license: 'CC-BY-4.0', model_path: `loras/${word}.safetensors` })
  await details.getByRole('button', { name: 'Close' }).click()
  await expect(page.getByRole('link', { name: `${word} of the house` })).toBeFocused()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('link', { name: word, exact: true })).toBeVisible()
})

test('saving an edit over a newer change shows that change and needs a second save', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('both')
  const model = await registerModel(registry, `loras/${word}.safetensors`)
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog')
  await chooseModelAction(page, 'Edit')
  await details.getByRole('textbox', { name: 'Description' }).fill('mine')
  await registry.call(registry.owner, 'PUT', `/models/${model.id}`, { description: 'theirs', license: 'MIT' })
  await details.getByRole('button', { name: 'Save' }).click()
  const alert = details.getByRole('alert')
  await expect(alert).toContainText('Description is now “theirs”; saving replaces it with your value')
  await expect(alert).toContainText('Licence is now “MIT”')
  await expect(details.getByRole('textbox', { name: 'Licence' })).toHaveValue('MIT')
  await expect(details.getByRole('textbox', { name: 'Description' })).toHaveValue('mine')
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(details.getByRole('region', { name: 'What it is' })).toContainText('mine')
  const saved = await registry.call<Record<string, unknown>>(registry.owner, 'GET', `/models/${model.id}`)
  expect(saved).toMatchObject({ description: 'mine', license: 'MIT' })
})

test('a refused path is explained at its field, and a free path is offered', async ({ page, registry, signIn }) => {
  const word = createUniqueName('taken')
  await registerModel(registry, `loras/${word}.safetensors`)
  const model = await registerModel(registry, `loras/${word}-too.safetensors`)
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog')
  await chooseModelAction(page, 'Edit')
  const path = details.getByRole('textbox', { name: 'Path' })
  await path.fill('loras/../etc.safetensors')
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(path).toHaveAttribute('aria-invalid', 'true')
  await path.fill(`loras/${word}.safetensors`)
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(details.getByText('is taken by another model')).toBeVisible()
  await details.getByRole('button', { name: /Use free path/ }).click()
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(details.getByText(`loras/${word}_2.safetensors`).first()).toBeVisible()
})

test('disabling a model can be undone, and its history shows both', async ({ page, registry, signIn }) => {
  const path = `loras/${createUniqueName('off')}.safetensors`
  const model = await registerModel(registry, path)
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog')
  await chooseModelAction(page, 'Disable')
  await expect(details.getByText('Machines remove a disabled model')).toBeVisible()
  await expect(details.getByRole('region', { name: 'History' })).toContainText(`Registry Owner disabled ${path}`)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(details.getByText('Machines remove a disabled model')).toHaveCount(0)
  await expect(details.getByRole('region', { name: 'History' })).toContainText(`enabled ${path}`)
})

test('a deleted model is restored by undo or from the trash, which shows the date of deletion', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  const word = createUniqueName('gone')
  const model = await registerModel(registry, `loras/${word}.safetensors`)
  await signIn(registry.owner, `/models?q=${word}&model=${model.id}`)
  await chooseModelAction(page, 'Delete')
  await expect(page.getByRole('dialog')).toBeHidden()
  await expect(page.getByRole('link', { name: word })).toBeHidden()
  await page.getByRole('button', { name: 'Undo' }).click()
  await page.getByRole('link', { name: word }).click()
  await chooseModelAction(page, 'Delete')
  await expect(page.getByRole('dialog')).toBeHidden()
  await page.getByRole('link', { name: 'Trash' }).click()
  const row = page.getByRole('row').filter({ hasText: word })
  const inAWeek = new Date(Date.now() + 7 * 86_400_000)
  await expect(row).toContainText(new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' }).format(inAWeek))
  await row.getByRole('button', { name: `Restore ${word}` }).click()
  await expect(row).toBeHidden()
  await expect.poll(() => registry.call(registry.owner, 'GET', `/models/${model.id}`)).toMatchObject({ id: model.id })
})

test('restoring a model whose path is taken is refused and links to the other model', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('path')
  const model = await registerModel(registry, `loras/${word}.safetensors`)
  await registry.call(registry.owner, 'DELETE', `/models/${model.id}`)
  await registerModel(registry, `loras/${word}.safetensors`, { display_name: `${word} the second` })
  await signIn(registry.owner, `/models?trash=true&q=${word}`)
  await page.getByRole('button', { name: `Restore ${word}` }).click()
  await expect(page.getByText('Change the path of that model or delete it')).toBeVisible()
  await page.getByRole('button', { name: 'Open the other model' }).click()
  await expect(page.getByRole('dialog').getByRole('heading', { name: `${word} the second` })).toBeVisible()
})

test('a viewer sees models without buttons for actions that they may not use', async ({ page, registry, signIn }) => {
  const word = createUniqueName('seen')
  const model = await registerModel(registry, `loras/${word}.safetensors`)
  const viewer = await registry.person('viewer')
  await signIn(viewer, `/models?q=${word}`)
  await expect(page.getByRole('link', { name: word })).toBeVisible()
  await expect(page.getByRole('checkbox', { name: /Select/ })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Upload' })).toHaveCount(0)
  await page.getByRole('link', { name: word }).click()
  const details = page.getByRole('dialog')
  await expect(details.getByRole('button', { name: 'Download' })).toBeVisible()
  await details.getByRole('button', { name: 'More actions' }).click()
  await expect(page.getByRole('menuitem')).toHaveText(['Copy link'])
  await page.keyboard.press('Escape')
  await expect(details.getByRole('region', { name: 'History' })).toHaveCount(0)
  expect(model.id).toBeTruthy()
})

test('a member can change their own models only', async ({ page, registry, signIn }) => {
  const word = createUniqueName('own')
  const member = await registry.person('member')
  await registerModel(registry, `loras/${word}-theirs.safetensors`)
  await registerModel(registry, `loras/${word}-mine.safetensors`, { by: member })
  await signIn(member, `/models?q=${word}`)
  await page.getByRole('link', { name: `${word}-theirs` }).click()
  await expect(page.getByRole('dialog').getByRole('button', { name: 'Download' })).toBeVisible()
  await page.getByRole('dialog').getByRole('button', { name: 'More actions' }).click()
  await expect(page.getByRole('menuitem')).toHaveText(['Copy link'])
})

test('the table lists the same models and opens the same drawer', async ({ page, registry, signIn }) => {
  const word = createUniqueName('card')
  await registerModel(registry, `loras/${word}.safetensors`)
  await signIn(registry.owner, `/models?q=${word}`)
  await page.locator('label').filter({ hasText: 'Table' }).click()
  await expect(page).toHaveURL(/view=table/)
  await page.getByRole('row').getByRole('link', { name: word }).click()
  await expect(page.getByRole('dialog').getByRole('heading', { name: word })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('row').getByRole('link', { name: word })).toBeFocused()
})

test('the URL of an unknown model shows that it was not found', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/models?model=0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10')
  await expect(page.getByRole('heading', { name: 'Model not found' })).toBeVisible()
})

test('an empty registry shows first steps to an owner and a hint to a viewer', async ({ page, signIn }) => {
  const registry = new Registry()
  await registry.start()
  try {
    await signIn(registry.owner, `${registry.url}/models`)
    await expect(page.getByRole('link', { name: 'Upload models' })).toBeVisible()
    await expect(page.getByText(`modelyard login ${registry.url} ${registry.owner.email}`)).toBeVisible()
    await expectAccessible(page)
    const viewer = await registry.person('viewer')
    await page.evaluate(() => localStorage.clear())
    await signIn(viewer, `${registry.url}/models`)
    await expect(page.getByText('The models appear here')).toBeVisible()
  } finally {
    await registry.close()
  }
})
