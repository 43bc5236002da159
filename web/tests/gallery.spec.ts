// The gallery: cards, keys, selection, facets, chips and empty states. Clicks are counted where the promise is a number.

import type { Page } from '@playwright/test'
import { readClipboard } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { buildPng } from './pictures'
import type { Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

const createUniqueName = (word: string) => `${word}-${Math.random().toString(36).slice(2, 8)}`

interface Facts {
  type?: string
  base_model?: string
  trigger_words?: string[]
  tags?: string[]
  required_labels?: string[]
}

async function createModel(registry: Registry, name: string, facts: Facts = {}): Promise<string> {
  const { type = 'loras', tags = [], required_labels = [], ...details } = facts
  const { id } = await registerModel(registry, `${type}/${name}.safetensors`, { tags, required_labels })
  if (Object.keys(details).length) await registry.call(registry.owner, 'PUT', `/models/${id}`, details)
  return id
}

async function createModels(registry: Registry, word: string, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) await createModel(registry, `${word}-${number}`)
}

const card = (page: Page, name: string) =>
  page.getByRole('gridcell').filter({ has: page.getByRole('link', { name, exact: true }) })
const search = (page: Page) => page.getByRole('combobox', { name: 'Search models' })
const filters = (page: Page) => page.getByRole('complementary', { name: 'Filters' })

/** Return the searches in the addresses of requests for lists that were sent since. */
function recordQueries(page: Page): string[] {
  const queries: string[] = []
  page.on('request', (request) => {
    const url = new URL(request.url())
    // Totals are asked for with one row.
    const isList = url.pathname === '/api/v1/models' && url.searchParams.get('per_page') !== '1'
    if (isList) queries.push(url.searchParams.get('q') ?? '')
  })
  return queries
}

test('a LoRA is found by its trigger word with one field and Enter, and its text is copied with one click', {
  tag: '@core',
}, async ({ page, registry, signIn, context }) => {
  const name = createUniqueName('wash')
  const trigger = createUniqueName('inkwsh')
  await createModel(registry, name, { trigger_words: [trigger, 'ink wash'], base_model: 'Pony' })
  await createModel(registry, createUniqueName('other'))
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(registry.owner, '/models')
  await search(page).fill(trigger)
  await search(page).press('Enter')
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(card(page, name)).toContainText('Pony')
  await card(page, name)
    .getByRole('button', { name: `Copy trigger word ${trigger}` })
    .click()
  await expect.poll(() => readClipboard(page)).toBe(trigger)
  await expect(page.getByText(`Copied ${trigger}`)).toBeVisible()
})

test('a card says without a click on how many machines a model is missing', async ({ page, registry, signIn }) => {
  const label = createUniqueName('reach')
  const here = await createModel(registry, `${label}-here`, { required_labels: [label] })
  await createModel(registry, `${label}-missing`, { required_labels: [label] })
  await createModel(registry, `${label}-nowhere`, { required_labels: [`${label}-none`] })
  const machine = await Machine.create(registry, label)
  await registry.call(registry.owner, 'PUT', `/agents/${label}`, { agent_labels: [label] })
  await machine.report([{ model_id: here, state: 'ready', bytes_done: 1102 }])
  const counts: string[] = []
  page.on('request', (request) => {
    if (/[?&](facet=is|missing_on=|verification=|model_status=)/.test(request.url())) counts.push(request.url())
  })
  await signIn(registry.owner, `/models?q=${label}`)
  await expect(card(page, `${label}-missing`)).toContainText('0 of 1')
  await expect(card(page, `${label}-here`).getByRole('img', { name: 'On all its machines' })).toBeVisible()
  await expect(card(page, `${label}-nowhere`).getByRole('img')).toHaveCount(0)
  await expect(filters(page).getByRole('checkbox', { name: 'Disabled 0' })).toBeVisible()
  await filters(page).getByRole('checkbox', { name: 'Missing on machines 1' }).click()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  // The counts of the other values do not change with it.
  await expect(filters(page).getByRole('checkbox', { name: 'Disabled 0' })).toBeVisible()
  expect(counts.filter((url) => !url.includes('facet=is'))).toEqual([])
  await machine.remove()
})

test('facets write into the search, which the address, the chips and the request have alike', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('facet')
  await createModel(registry, `${word}-a`, { base_model: 'Pony', tags: [word] })
  await createModel(registry, `${word}-b`, { base_model: 'SDXL 1.0', tags: [word] })
  await createModel(registry, `${word}-c`, { base_model: 'Flux.1 D', type: 'checkpoints' })
  await signIn(registry.owner, `/models?q=${word}`)
  await expect(page.getByRole('gridcell')).toHaveCount(3)
  const queries = recordQueries(page)
  await filters(page)
    .getByRole('checkbox', { name: /^Pony 1/ })
    .click()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  // The counts of the other values of a facet do not change with it.
  await filters(page)
    .getByRole('checkbox', { name: /^SDXL 1.0 1/ })
    .click()
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  const q = `base:"Pony"|"SDXL 1.0" ${word}`
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe(q)
  await expect.poll(() => queries.at(-1)).toBe(q)
  await expect(search(page)).toHaveValue(word)
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Remove base: Pony | SDXL 1.0' }).click()
  await expect(page.getByRole('gridcell')).toHaveCount(3)
  await expect(filters(page).getByRole('checkbox', { name: /^Pony 1/ })).not.toBeChecked()
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe(word)
})

test('a typed qualifier becomes a chip once it is complete, and Backspace removes it', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('typed')
  await createModel(registry, `${word}-a`, { type: 'vae' })
  await createModel(registry, `${word}-b`)
  await signIn(registry.owner, '/models')
  const queries = recordQueries(page)
  await search(page).pressSequentially(`${word} type:vae`)
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  // What is not complete is not asked for.
  expect(queries.filter((q) => q.includes('type:'))).toEqual([])
  await search(page).press('Enter')
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(page.getByRole('button', { name: 'Remove type: VAE' })).toBeVisible()
  await search(page).press('Home')
  await search(page).press('Backspace')
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await expect(search(page)).toHaveValue(`${word} `)
})

test('a value that the registry does not understand is explained at the search box', async ({
  page,
  registry,
  signIn,
}) => {
  await createModel(registry, createUniqueName('any'))
  await signIn(registry.owner, '/models')
  await search(page).fill('size:>banana ')
  await expect(page.getByRole('alert')).toContainText('size')
  await expect(search(page)).toHaveAttribute('aria-invalid', 'true')
  await page.getByRole('button', { name: 'Remove size: >banana' }).click()
  await expect(page.getByRole('alert')).toHaveCount(0)
  await expect(page.getByRole('gridcell').first()).toBeVisible()
})

test('a search without hits offers to leave out a part, with counts', async ({ page, registry, signIn }) => {
  const word = createUniqueName('none')
  await createModel(registry, word)
  await signIn(registry.owner, `/models?q=type:vae+${word}`)
  await expect(page.getByRole('heading', { name: 'No models match' })).toBeVisible()
  await page.getByRole('button', { name: 'Without type:vae (1)' }).click()
  await expect(card(page, word)).toBeVisible()
})

test('a search with a typing mistake offers the similar one that finds models', async ({ page, registry, signIn }) => {
  const name = createUniqueName('chiaroscuro')
  await createModel(registry, name, { trigger_words: ['chiaroscuro'] })
  await signIn(registry.owner, '/models?q=chiaroscura')
  await expect(page.getByText('Did you mean chiaroscuro?')).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('link', { name: 'chiaroscuro', exact: true }).click()
  await expect(card(page, name)).toBeVisible()
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('chiaroscuro')
  await expect(search(page)).toHaveValue('chiaroscuro')
})

test('a card shows the picture of a model, and a cover if it has none', async ({ page, registry, signIn }) => {
  const word = createUniqueName('pictured')
  const id = await createModel(registry, `${word}-with`)
  await createModel(registry, `${word}-without`)
  await signIn(registry.owner, `/models/${id}`)
  await page.getByTestId('picture').setInputFiles({
    name: 'a.png',
    mimeType: 'image/png',
    buffer: buildPng([180, 40, 40], 640, 800),
  })
  await expect(page.getByText('The picture is added.')).toBeVisible()
  await page.goto(`${registry.url}/models?q=${word}`)
  const picture = card(page, `${word}-with`).locator('img')
  await expect.poll(() => picture.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0)
  expect(await picture.getAttribute('src')).toMatch(/^\/api\/v1\/previews\/[0-9a-f]{64}\?size=1$/)
  await expect(card(page, `${word}-without`)).toBeVisible()
  await expect(card(page, `${word}-without`).locator('img')).toHaveCount(0)
})

test('addresses of filters that were shared before still filter', async ({ page, registry, signIn }) => {
  const word = createUniqueName('old')
  await createModel(registry, `${word}-a`, { type: 'vae', tags: [word] })
  await createModel(registry, `${word}-b`, { tags: [word] })
  await signIn(registry.owner, `/models?model_type=vae&tag=${word}`)
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(page.getByRole('button', { name: 'Remove type: VAE' })).toBeVisible()
})

test('the list is one tab stop, and arrows, letters and Space work on the model with the focus', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  const word = createUniqueName('keys')
  await createModels(registry, word, 12)
  await registry.call(registry.owner, 'PUT', `/models/${await createModel(registry, `${word}-99`)}`, {
    trigger_words: ['one', 'two'],
  })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(registry.owner, `/models?q=${word}`)
  const newest = page.getByRole('link', { name: `${word}-99` })
  await expect(newest).toBeVisible()
  const columns = Number(await page.getByRole('grid').getAttribute('aria-colcount'))
  await newest.focus()
  await page.keyboard.press('ArrowRight')
  await expect(page.getByRole('link', { name: `${word}-11` })).toBeFocused()
  await page.keyboard.press('ArrowDown')
  await expect(page.getByRole('link', { name: `${word}-${11 - columns}` })).toBeFocused()
  await page.keyboard.press('Control+End')
  await expect(page.getByRole('link', { name: `${word}-0` })).toBeFocused()
  await page.keyboard.press('Space')
  await expect(page.getByRole('region', { name: 'Selected models' })).toContainText('1 model selected')
  await page.keyboard.press('Space')
  await page.keyboard.press('Control+Home')
  await expect(newest).toBeFocused()
  await page.keyboard.press('c')
  await expect.poll(() => readClipboard(page)).toBe('one, two')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(newest).toBeFocused()
  await page.keyboard.press('v')
  await expect(page).toHaveURL(/view=table/)
  expect(await page.locator('[role=grid] [tabindex="0"][data-name]').count()).toBe(1)
})

test('single characters are keys only outside of fields, and can be turned off', async ({ page, registry, signIn }) => {
  await createModel(registry, createUniqueName('slash'))
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('gridcell').first()).toBeVisible()
  await page.keyboard.press('/')
  await expect(search(page)).toBeFocused()
  await page.keyboard.type('c?v')
  await expect(search(page)).toHaveValue('c?v')
  await search(page).blur()
  await page.keyboard.press('?')
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
  await expect(help).toBeVisible()
  await expectAccessible(page)
  await help.getByRole('switch', { name: 'Use keys that are one character' }).click()
  await page.keyboard.press('Escape')
  await expect(help).toBeHidden()
  await page.keyboard.press('?')
  await page.keyboard.press('/')
  await expect(search(page)).not.toBeFocused()
  await expect(help).toBeHidden()
})

test('cards are selected with their checkbox, several with Shift, and a bulk action can be undone', async ({
  page,
  registry,
  signIn,
}) => {
  const word = createUniqueName('pick')
  await createModels(registry, word, 5)
  await signIn(registry.owner, `/models?q=${word}&sort=display_name`)
  const box = (number: number) => page.getByRole('checkbox', { name: `Select ${word}-${number}` })
  await card(page, `${word}-1`).hover()
  await box(1).click()
  await box(3).click({ modifiers: ['Shift'] })
  const bar = page.getByRole('region', { name: 'Selected models' })
  await expect(bar).toContainText('3 models selected')
  await bar.getByRole('button', { name: 'Disable' }).click()
  await page.getByText('3 models disabled.').hover()
  await expect(page.getByRole('gridcell').filter({ hasText: 'Disabled' })).toHaveCount(3)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('gridcell').filter({ hasText: 'Disabled' })).toHaveCount(0)
})

test('the menu of a card opens the page of the model and copies its link', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  const word = createUniqueName('menu')
  const id = await createModel(registry, word)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(registry.owner, `/models?q=${word}`)
  await card(page, word).hover()
  await page.getByRole('button', { name: `More actions for ${word}` }).click()
  await page.getByRole('menuitem', { name: 'Copy link' }).click()
  await expect.poll(() => readClipboard(page)).toBe(`${registry.url}/models/${id}`)
  await expect(page.getByRole('menu')).toHaveCount(0)
  await page.getByRole('button', { name: `More actions for ${word}` }).click()
  await page.getByRole('menuitem', { name: 'Open page' }).click()
  await expect(page).toHaveURL(new RegExp(`/models/${id}`))
})

test('on a phone the filters are a drawer that says how many models it shows', async ({ page, registry, signIn }) => {
  const word = createUniqueName('phone')
  await createModel(registry, `${word}-a`, { type: 'vae' })
  await createModels(registry, word, 3)
  await page.setViewportSize({ width: 380, height: 800 })
  await signIn(registry.owner, `/models?q=${word}`)
  await expect(page.getByRole('grid')).toHaveAttribute('aria-colcount', '2')
  await page.getByRole('button', { name: 'Filter', exact: true }).click()
  const drawer = page.getByRole('dialog', { name: 'Filter' })
  await drawer.getByRole('checkbox', { name: /^VAE 1/ }).click()
  await expectAccessible(page)
  await expect(drawer.getByRole('button', { name: 'Show 1 model' })).toBeVisible()
  await drawer.getByRole('button', { name: 'Show 1 model' }).click()
  await expect(drawer).toBeHidden()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(page.getByRole('button', { name: 'Filter (1)' })).toBeVisible()
  await expectNoHorizontalScroll(page)
})
