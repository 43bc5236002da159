// What the page asks the registry for during typing: the list at once, counts and suggestions after a pause.

import type { Page } from '@playwright/test'
import { expect, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'

const test = withRegistry()

// People type a letter in this time; a pause in typing is longer than the second one.
const LETTER_MILLISECONDS = 200
const PAUSE_MILLISECONDS = 400
const WORDS = ['ink', 'inn', 'oil', 'clay', 'chalk', 'stone', 'glass', 'wood']

const field = (page: Page) => page.getByRole('combobox', { name: 'Search models' })
const filters = (page: Page) => page.getByRole('complementary', { name: 'Filters' })

/** Return the parameters of requests for counts that are sent from now on, without those of what needs attention. */
function recordCounts(page: Page): Record<string, string>[] {
  const asked: Record<string, string>[] = []
  page.on('request', (request) => {
    const url = new URL(request.url())
    const query = Object.fromEntries(url.searchParams)
    if (url.pathname === '/api/v1/models/facets' && query.facet !== 'is') asked.push(query)
  })
  return asked
}

async function type(page: Page, text: string): Promise<void> {
  for (const letter of text) {
    await page.keyboard.press(letter)
    await page.clock.runFor(LETTER_MILLISECONDS)
  }
}

/** Open the models in a page whose time passes by `runFor` only. */
async function openModels(page: Page, registry: Registry, signIn: (person: Registry['owner'], at: string) => unknown) {
  if (!created.has(registry)) {
    created.add(registry)
    await registerModel(registry, 'loras/counted.safetensors', { tags: WORDS })
  }
  await page.clock.install()
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(filters(page).getByRole('checkbox', { name: 'chalk 1' })).toBeVisible()
  await page.clock.pauseAt(Date.now() + 60_000)
}

const created = new WeakSet<Registry>()

test('counts are asked for once typing pauses, and the list with the letters', async ({ page, registry, signIn }) => {
  await openModels(page, registry, signIn)
  const lists: string[] = []
  page.on('request', (request) => {
    const { pathname, searchParams } = new URL(request.url())
    if (pathname === '/api/v1/models' && searchParams.has('cursor')) lists.push(searchParams.get('q') ?? '')
  })
  const counts = recordCounts(page)
  await field(page).focus()
  await type(page, 'counted')
  expect(counts).toEqual([])
  await expect.poll(() => lists.at(-1)).toBe('counted')
  await page.clock.runFor(PAUSE_MILLISECONDS)
  await expect.poll(() => counts).toEqual([{ q: 'counted' }])
})

test('suggestions are asked for as a value begins, and once its typing pauses', async ({ page, registry, signIn }) => {
  await openModels(page, registry, signIn)
  const counts = recordCounts(page)
  await field(page).focus()
  await type(page, 'tag:ch')
  await expect.poll(() => counts).toEqual([{ facet: 'tag' }])
  // What is known already is suggested meanwhile.
  await expect(page.getByRole('option', { name: /^chalk/ })).toBeVisible()
  await type(page, 'alk')
  expect(counts).toEqual([{ facet: 'tag' }])
  await page.clock.runFor(PAUSE_MILLISECONDS)
  await expect.poll(() => counts).toEqual([{ facet: 'tag' }, { facet: 'tag', prefix: 'chalk' }])
})

test('a search within the values of a filter is sent once its typing pauses', async ({ page, registry, signIn }) => {
  await openModels(page, registry, signIn)
  await filters(page)
    .getByRole('button', { name: `Show all ${WORDS.length}` })
    .click()
  await filters(page).getByRole('searchbox', { name: 'Search in Tags' }).focus()
  const counts = recordCounts(page)
  await type(page, 'in')
  await expect(filters(page).getByRole('checkbox', { name: /^in[kn] 1$/ })).toHaveCount(2)
  await expect(filters(page).getByRole('checkbox', { name: 'chalk 1' })).toHaveCount(0)
  await type(page, 'k')
  expect(counts).toEqual([])
  await page.clock.runFor(PAUSE_MILLISECONDS)
  await expect.poll(() => counts).toEqual([{ facet: 'tag', prefix: 'ink' }])
  await expect(filters(page).getByRole('checkbox', { name: 'ink 1' })).toBeVisible()
})

for (const [count, isCapped, shown] of [
  [8_214, false, '8,214 models'],
  [10_000, true, '10k+ models'],
] as const) {
  test(`a search that finds ${shown} says so although the list counts up to 1,000`, async ({
    page,
    registry,
    signIn,
  }) => {
    await page.route(/\/api\/v1\/models\?.*per_page=1(&|$)/, async (route) => {
      const answer = await route.fetch()
      const body = (await answer.json()) as { page_meta: object }
      await route.fulfill({ response: answer, json: { ...body, page_meta: { ...body.page_meta, total_count: 1_000 } } })
    })
    await page.route(/\/models\/facets(\?|$)/, async (route) => {
      const answer = await route.fetch()
      const body = (await answer.json()) as { facet_list: object[] }
      const facet_list = body.facet_list.map((facet) => ({ ...facet, model_count: count, is_capped: isCapped }))
      await route.fulfill({ response: answer, json: { ...body, facet_list } })
    })
    await signIn(registry.owner, '/models?q=counted')
    await expect(page.getByRole('status').filter({ hasText: shown })).toBeVisible()
  })
}
