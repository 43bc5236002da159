// How long the page takes until it shows something, and until it reacts, in a team of 100,000 models.
//
// Times are the best of a few tries, since other programs of the machine take their part of the others.

import type { Page } from '@playwright/test'
import { expect, withRegistry } from '../tests/fixtures'
import { openSignedInPage, startRegistryWithModels } from '../tests/manyModels'
import type { Registry } from '../tests/registry'

const test = withRegistry()

const MODELS = Number(process.env.BENCH_MODELS ?? 100_000)
const LARGEST_PAINT_MILLISECONDS = 1_500
const INTERACTION_MILLISECONDS = 200
const SLOW_DOWN = 4
const TRIES = 3

let registry: Registry
const measured: Record<string, number> = {}

test.beforeAll(async () => {
  registry = await startRegistryWithModels(MODELS)
})

test.afterAll(async () => {
  process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`)
  await registry.close()
})

test(`with ${MODELS} models every interaction responds within ${INTERACTION_MILLISECONDS} ms`, async ({ browser }) => {
  const page = await openSignedInPage(browser, registry)
  await page.addInitScript(watchInteractions)
  await page.goto(`${registry.url}/models`)
  const total = await page
    .getByRole('status')
    .filter({ hasText: / models$/ })
    .textContent()
  // One in a hundred is in the trash.
  expect(Number(total?.replace(/\D/g, ''))).toBeGreaterThan(0.97 * MODELS)

  await measure('scroll_milliseconds', page, async () => {
    await expect(page.getByRole('row').first()).toHaveAttribute('aria-rowindex', '1')
    const before = await page.getByRole('row').last().getAttribute('aria-rowindex')
    for (let turn = 0; turn < 5; turn += 1) {
      await page.getByRole('row').last().hover()
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
    const search = page.getByRole('combobox', { name: 'Search models' })
    await search.click()
    await search.fill('')
    await search.pressSequentially('zanzibar', { delay: 60 })
    // Three of any number have this word.
    await expect.poll(() => page.getByRole('gridcell').count()).toBeLessThanOrEqual(4)
    await expect(page.getByRole('row').last()).toContainText('Zanzibar')
  })
  await page.getByRole('button', { name: 'Clear filters' }).click()
  await measure('sort_and_select_milliseconds', page, async () => {
    const before = page.url()
    // The sort of the last try stays.
    const order = before.includes('sort=file_size') ? 'display_name' : 'file_size'
    await page.getByRole('combobox', { name: 'Sort' }).selectOption(order)
    await expect(page).not.toHaveURL(before)
    await page.waitForLoadState('networkidle')
    await page.getByRole('gridcell').first().getByRole('checkbox').click()
    await page.getByRole('button', { name: 'Clear selection' }).click()
  })
  await page.context().close()
})

test(`the largest contentful paint is within ${LARGEST_PAINT_MILLISECONDS} ms on a processor ${SLOW_DOWN} times slower`, async ({
  browser,
}) => {
  const paints: number[] = []
  for (let number = 0; number < TRIES; number += 1) {
    const page = await openSignedInPage(browser, registry)
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable', { timeDomain: 'threadTicks' })
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOW_DOWN })
    await page.goto(`${registry.url}/models`)
    await expect(page.getByRole('gridcell')).not.toHaveCount(0)
    await page.waitForLoadState('networkidle')
    paints.push(await page.evaluate(largestPaint))
    const { metrics } = await session.send('Performance.getMetrics')
    // Beside the time on the clock: what the page itself computed, whatever else the machine did.
    for (const { name, value } of metrics) if (name === 'TaskDuration') measured.main_thread_seconds = value
    await page.context().close()
  }
  measured.largest_paint_milliseconds = Math.min(...paints)
  expect(measured.largest_paint_milliseconds).toBeLessThanOrEqual(LARGEST_PAINT_MILLISECONDS)
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

function largestPaint(): Promise<number> {
  return new Promise((message) => {
    new PerformanceObserver((list) => {
      const paint = list.getEntries().at(-1)?.startTime ?? Number.POSITIVE_INFINITY
      setTimeout(() => message(paint), 100)
    }).observe({ type: 'largest-contentful-paint', buffered: true })
  })
}
