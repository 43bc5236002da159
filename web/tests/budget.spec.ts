// Limits on the bytes of the first load and on the layout shift. Response times are measured by `make bench-page`.

import { expect, withRegistry } from './fixtures'
import { openSignedInPage, startRegistryWithModels } from './manyModels'
import type { Registry } from './registry'

const test = withRegistry()

const MODELS = 2_000
const FIRST_LOAD_BYTES = 250_000
const FIRST_LOAD_REQUESTS = 40
const LAYOUT_SHIFT = 0.1

let registry: Registry

test.beforeAll(async () => {
  registry = await startRegistryWithModels(MODELS)
})

test.afterAll(() => registry.close())

test(`the first load of the model list takes at most ${FIRST_LOAD_REQUESTS} requests and ${FIRST_LOAD_BYTES / 1000} kB, compressed`, async ({
  browser,
}) => {
  const page = await openSignedInPage(browser, registry)
  const urls = new Map<string, string>()
  const sizes = new Map<string, number>()
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.requestWillBeSent', ({ requestId, request }) => urls.set(requestId, request.url))
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const url = urls.get(requestId) ?? ''
    // Polling, as some models are being verified, repeats addresses and is not part of the first load.
    if (!sizes.has(url)) sizes.set(url, encodedDataLength)
  })
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('gridcell').nth(1)).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: / models$/ })).toBeVisible()
  const transferred = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const list = [...sizes].map(([url, size]) => `${size} ${new URL(url).pathname}`).join('\n')
  expect(transferred, list).toBeLessThanOrEqual(FIRST_LOAD_BYTES)
  expect(sizes.size, list).toBeLessThanOrEqual(FIRST_LOAD_REQUESTS)
  await page.context().close()
})

test(`loading the model list keeps the layout shift below ${LAYOUT_SHIFT}`, async ({ browser }) => {
  const page = await openSignedInPage(browser, registry)
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('gridcell').nth(1)).toBeVisible()
  await page.waitForLoadState('networkidle')
  expect(await page.evaluate(measureLayoutShift)).toBeLessThanOrEqual(LAYOUT_SHIFT)
  await page.context().close()
})

/** Return the cumulative layout shift since the page was opened. */
function measureLayoutShift(): Promise<number> {
  return new Promise((resolve) => {
    let total = 0
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) total += entry.value
    }).observe({ type: 'layout-shift', buffered: true })
    setTimeout(() => resolve(total), 200)
  })
}
