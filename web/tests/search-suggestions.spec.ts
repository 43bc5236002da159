// Suggestions while a qualifier is typed: names, values with counts, keys, and that Enter alone searches as before.

import type { Page } from '@playwright/test'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

const field = (page: Page) => page.getByRole('combobox', { name: 'Search models' })
const suggestions = (page: Page) => page.getByRole('listbox', { name: 'Suggestions' })
const option = (page: Page, name: string | RegExp) => suggestions(page).getByRole('option', { name })

async function createModels(registry: Registry): Promise<void> {
  for (const [name, base_model] of [
    ['one', 'Flux.1 D'],
    ['two', 'Flux.1 D'],
    ['three', 'Flux.1 Kontext'],
    ['four', 'Pony'],
  ]) {
    const { id } = await registerModel(registry, `loras/suggest_${name}.safetensors`, { tags: ['ink wash', name] })
    await registry.call(registry.owner, 'PUT', `/models/${id}`, { base_model })
  }
  await Machine.create(registry, 'suggest-render-07')
}

test.beforeEach(async ({ registry, page, signIn }, info) => {
  if (info.retry === 0 && !created.has(registry)) {
    created.add(registry)
    await createModels(registry)
  }
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('gridcell')).toHaveCount(4)
})

const created = new WeakSet<Registry>()

test('the name of a qualifier and then its value are completed with arrows and Enter', async ({ page }) => {
  await field(page).pressSequentially('ba')
  await expect(option(page, /^base: Base model$/)).toBeVisible()
  await expect(field(page)).toHaveAttribute('aria-expanded', 'true')
  await field(page).press('ArrowDown')
  await field(page).press('Enter')
  await expect(field(page)).toHaveValue('base:')
  await field(page).pressSequentially('fl')
  await expect(suggestions(page).getByRole('option')).toHaveText([/Flux\.1 D\s*2$/, /Flux\.1 Kontext\s*1$/])
  await field(page).press('ArrowDown')
  await expect(option(page, /^Flux\.1 D/)).toHaveAttribute('aria-selected', 'true')
  await expect(field(page)).toHaveAttribute('aria-activedescendant', /-0$/)
  await expectAccessible(page)
  await field(page).press('Enter')
  await expect(page.getByRole('button', { name: 'Remove base: Flux.1 D' })).toBeVisible()
  await expect(field(page)).toHaveValue('')
  await expect(suggestions(page)).toHaveCount(0)
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('base:"Flux.1 D"')
})

test('a word before a chosen value stays apart from what is typed next', async ({ page }) => {
  await field(page).pressSequentially('suggest base:fl')
  await expect(option(page, /^Flux\.1 D/)).toBeVisible()
  await field(page).press('ArrowDown')
  await field(page).press('Enter')
  await expect(field(page)).toHaveValue('suggest ')
  await field(page).pressSequentially('two')
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('base:"Flux.1 D" suggest two')
  await expect(page.getByRole('gridcell')).toHaveCount(1)
})

test('Enter without a chosen suggestion searches for what is typed, and Escape only closes the list', async ({
  page,
}) => {
  await field(page).pressSequentially('base:flux')
  await expect(option(page, /^Flux\.1 D/)).toBeVisible()
  await field(page).press('Escape')
  await expect(suggestions(page)).toHaveCount(0)
  await expect(field(page)).toHaveValue('base:flux')
  await field(page).press('Enter')
  await expect(page.getByRole('gridcell')).toHaveCount(3)
  await expect(page.getByRole('button', { name: 'Remove base: flux…', exact: true })).toBeVisible()
  // The filters have whole values: none of them is ticked.
  await expect(page.getByRole('checkbox', { name: /^Flux\.1/ })).toHaveCount(2)
  await expect(page.getByRole('checkbox', { checked: true })).toHaveCount(0)
  await field(page).pressSequentially('tag')
  await field(page).press('Enter')
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('base:flux tag')
})

test('values are those of the models that the rest of the search finds, also of an exclusion and a second value', async ({
  page,
}) => {
  await field(page).fill('base:"Pony" tag:')
  await expect(option(page, /^four 1$/)).toBeVisible()
  await expect(option(page, /^one/)).toHaveCount(0)
  await option(page, /^ink wash 1$/).click()
  await expect(page.getByRole('button', { name: 'Remove tag: ink wash' })).toBeVisible()
  await expect(field(page)).toBeFocused()
  await field(page).fill('-base:pony|"flux.1 k')
  await option(page, /^Flux\.1 Kontext/).click()
  await expect(page.getByRole('button', { name: 'Remove −base: pony… | Flux.1 Kontext' })).toBeVisible()
})

test('machines, fixed values and people are suggested, and nothing for other words', async ({ page }) => {
  for (const [typed, name] of [
    ['missing:', 'any'],
    ['machine:sugg', 'suggest-render-07'],
    ['is:dis', 'Disabled'],
    ['by:m', 'me'],
    ['type:lo', /^LoRA/],
    ['state:', /^Queued/],
  ] as const) {
    await field(page).fill(typed)
    await expect(option(page, name).first()).toBeVisible()
  }
  for (const typed of ['suggest_one', 'size:>2', 'type:none-such', 't']) {
    await field(page).fill(typed)
    await expect(suggestions(page)).toHaveCount(0)
  }
})

test('counts that the registry did not finish are marked, in suggestions as in the filters', async ({ page }) => {
  await page.route(/\/models\/facets(\?|$)/, async (route) => {
    const answer = await route.fetch()
    const body = (await answer.json()) as { facet_list: object[] }
    const facet_list = body.facet_list.map((facet) => ({ ...facet, is_capped: true }))
    await route.fulfill({ response: answer, json: { ...body, facet_list } })
  })
  await page.reload()
  await expect(page.getByRole('checkbox', { name: 'Flux.1 D 2+' })).toBeVisible()
  await field(page).fill('base:fl')
  await expect(option(page, 'Flux.1 D 2+')).toBeVisible()
})

test('a value in quotes can be typed with its spaces, and becomes a chip with the closing quote and a space', async ({
  page,
}) => {
  await field(page).pressSequentially('tag:"ink wa')
  await expect(field(page)).toHaveValue('tag:"ink wa')
  await field(page).pressSequentially('sh" one')
  await expect(page.getByRole('button', { name: 'Remove tag: ink wash' })).toBeVisible()
  await expect(field(page)).toHaveValue('one')
  await expect(page.getByRole('gridcell')).toHaveCount(1)
})

test('the list is over the page, nothing moves, and requests for outdated prefixes are cancelled', async ({ page }) => {
  const cancelled: string[] = []
  page.on('requestfailed', (request) => cancelled.push(new URL(request.url()).searchParams.get('prefix') ?? ''))
  const grid = page.getByRole('gridcell').first()
  const before = await grid.boundingBox()
  await page.route(/facets\?.*prefix=p(&|$)/, async (route) => {
    await new Promise((passed) => setTimeout(passed, 3_000))
    await route.continue().catch(() => undefined)
  })
  const outdated = page.waitForRequest(/facets\?.*prefix=p(&|$)/)
  await field(page).pressSequentially('base:p')
  await outdated
  await field(page).pressSequentially('on')
  await expect(option(page, /^Pony/)).toBeVisible()
  await expect.poll(() => cancelled).toContain('p')
  expect(await grid.boundingBox()).toEqual(before)
})

for (const scheme of ['light', 'dark'] as const) {
  for (const width of [1440, 380]) {
    test(`suggestions fit ${width} pixels in ${scheme} colours and are accessible`, async ({ page }, info) => {
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: 800 })
      await field(page).pressSequentially('base:')
      await expect(option(page, /^Flux\.1 D/)).toBeVisible()
      await field(page).press('ArrowDown')
      await expectAccessible(page)
      await page.screenshot({ path: info.outputPath(`suggestions-${width}-${scheme}.png`) })
    })
  }
}

test('a value that is chosen behind a word keeps the word', async ({ page }) => {
  await field(page).pressSequentially('suggest base:fl')
  await expect(option(page, /^Flux\.1 D/)).toBeVisible()
  await field(page).press('ArrowDown')
  await field(page).press('Enter')
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await expect(page).toHaveURL(/Flux\.1/)
  await expect(page).toHaveURL(/suggest/)
})
