// What the page may cost: bytes of the first load, time until it shows something, time until it reacts; with very many models.
//
// Times are the best of a few tries, since other programs of the machine take their part of the others.

import { mkdirSync, writeFileSync } from 'node:fs'
import type { Browser, Page } from '@playwright/test'
import { crowded } from './crowd'
import { expect, test } from './page'
import type { Person, Registry } from './registry'

// The budget holds at 100,000 (`make browser-large`), which take minutes to write; the ordinary run has fewer.
const MODELS = Number(process.env.BUDGET_MODELS ?? 2_000)
const FIRST_LOAD_BYTES = 250_000
const LARGEST_PAINT_MILLISECONDS = 1_500
const INTERACTION_MILLISECONDS = 200
const LAYOUT_SHIFT = 0.1
const SLOW_DOWN = 4
const TRIES = 3

test.describe.configure({ mode: 'serial', timeout: 300_000 })

let registry: Registry
const measured: Record<string, number> = {}

test.beforeAll(async () => {
  // Indexes of a search for parts of words are written for each of them.
  test.setTimeout(600_000)
  registry = await crowded(MODELS)
})

test.afterAll(async () => {
  mkdirSync('results', { recursive: true })
  writeFileSync('results/budget.json', `${JSON.stringify(measured, null, 2)}\n`)
  await registry.close()
})

/** A browser with an empty cache that is signed in: what it loads on `/models` is a first load. */
async function signedIn(browser: Browser): Promise<Page> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const answer = await page.request.post(`${registry.url}/api/v1/auth/login`, {
    headers: { 'X-Session': 'cookie', Origin: registry.url },
    data: { email_address: registry.owner.email, user_password: registry.owner.password } satisfies Login,
  })
  expect(answer.ok()).toBe(true)
  await page.addInitScript(() => localStorage.setItem('modelyard.signed-in', '1'))
  return page
}

interface Login {
  email_address: Person['email']
  user_password: Person['password']
}

test(`the first load is at most ${FIRST_LOAD_BYTES / 1000} kB, compressed`, async ({ browser }) => {
  const page = await signedIn(browser)
  let sent = 0
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    sent += encodedDataLength
  })
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('row')).not.toHaveCount(1)
  await expect(page.getByRole('status').filter({ hasText: / models$/ })).toBeVisible()
  // What is asked again later, since some models are being verified, is no part of the first load.
  measured.first_load_bytes = sent
  expect(sent).toBeLessThanOrEqual(FIRST_LOAD_BYTES)
  await page.context().close()
})

test(`with ${MODELS} models everything reacts within ${INTERACTION_MILLISECONDS} ms`, async ({ browser }) => {
  const page = await signedIn(browser)
  await page.addInitScript(watchInteractions)
  await page.goto(`${registry.url}/models`)
  const total = await page
    .getByRole('status')
    .filter({ hasText: / models$/ })
    .textContent()
  // One in a hundred is in the trash.
  expect(Number(total?.replace(/\D/g, ''))).toBeGreaterThan(0.97 * MODELS)

  await measure('scroll_milliseconds', page, async () => {
    const before = await page.getByRole('row').last().getAttribute('aria-rowindex')
    for (let turn = 0; turn < 5; turn += 1) {
      await page.keyboard.press('PageDown')
      await page.mouse.wheel(0, 4_000)
      await page.waitForLoadState('networkidle')
    }
    expect(Number(await page.getByRole('row').last().getAttribute('aria-rowindex'))).toBeGreaterThan(Number(before))
  })
  await measure('drawer_milliseconds', page, async () => {
    const names = page.getByRole('row').getByRole('link')
    await names.nth(12).click()
    await expect(page.getByRole('dialog').getByRole('region', { name: 'Hashes' })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toBeHidden()
  })
  await measure('search_milliseconds', page, async () => {
    const search = page.getByRole('searchbox', { name: 'Search models' })
    await search.click()
    await search.fill('')
    await search.pressSequentially('zanzibar', { delay: 60 })
    // Three of any number have this word.
    await expect.poll(() => page.getByRole('row').count()).toBeLessThanOrEqual(4)
    await expect(page.getByRole('row').last()).toContainText('Zanzibar')
  })
  await page.getByRole('button', { name: 'Clear filters' }).click()
  await measure('sort_and_select_milliseconds', page, async () => {
    const before = page.url()
    await page.getByRole('button', { name: 'Size' }).click()
    await expect(page).not.toHaveURL(before)
    await page.waitForLoadState('networkidle')
    await page.getByRole('checkbox', { name: 'Select all that are loaded' }).click()
    await page.getByRole('button', { name: 'Select none' }).click()
  })
  await page.context().close()
})

test(`the largest paint comes within ${LARGEST_PAINT_MILLISECONDS} ms on a processor ${SLOW_DOWN} times slower, and little moves`, async ({
  browser,
}) => {
  const tries: { paint: number; shift: number }[] = []
  for (let number = 0; number < TRIES; number += 1) {
    const page = await signedIn(browser)
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable', { timeDomain: 'threadTicks' })
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOW_DOWN })
    await page.goto(`${registry.url}/models`)
    await expect(page.getByRole('row')).not.toHaveCount(1)
    await page.waitForLoadState('networkidle')
    tries.push(await page.evaluate(paintAndShift))
    const { metrics } = await session.send('Performance.getMetrics')
    // Beside the time on the clock: what the page itself computed, whatever else the machine did.
    for (const { name, value } of metrics) if (name === 'TaskDuration') measured.main_thread_seconds = value
    await page.context().close()
  }
  measured.largest_paint_milliseconds = Math.min(...tries.map(({ paint }) => paint))
  measured.layout_shift = Math.max(...tries.map(({ shift }) => shift))
  expect(measured.largest_paint_milliseconds).toBeLessThanOrEqual(LARGEST_PAINT_MILLISECONDS)
  expect(measured.layout_shift).toBeLessThanOrEqual(LAYOUT_SHIFT)
})

/** Do something `TRIES` times; of the slowest reaction of each try, the best counts. */
async function measure(name: string, page: Page, act: () => Promise<void>): Promise<void> {
  const slowest: number[] = []
  for (let number = 0; number < TRIES; number += 1) {
    await page.evaluate(() => {
      window.interactions = []
    })
    await page.evaluate(() => window.scrollTo(0, 0))
    await act()
    // An interaction is told of after the paint that followed it.
    await page.evaluate(() => new Promise((painted) => requestAnimationFrame(() => setTimeout(painted, 100))))
    slowest.push(Math.max(0, ...(await page.evaluate(() => window.interactions))))
  }
  measured[name] = Math.min(...slowest)
  expect(measured[name], name).toBeLessThanOrEqual(INTERACTION_MILLISECONDS)
}

declare global {
  interface Window {
    /** How long each reaction took, from the event to the next paint, in milliseconds. */
    interactions: number[]
  }
}

function watchInteractions(): void {
  window.interactions = []
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.interactions.push(entry.duration)
  }).observe({ type: 'event', durationThreshold: 16, buffered: true } as PerformanceObserverInit)
}

function paintAndShift(): Promise<{ paint: number; shift: number }> {
  return new Promise((told) => {
    let shift = 0
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[])
        shift += entry.hadRecentInput ? 0 : entry.value
    }).observe({ type: 'layout-shift', buffered: true })
    new PerformanceObserver((list) => {
      const paint = list.getEntries().at(-1)?.startTime ?? Number.POSITIVE_INFINITY
      setTimeout(() => told({ paint, shift }), 100)
    }).observe({ type: 'largest-contentful-paint', buffered: true })
  })
}
