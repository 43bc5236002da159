// What the page may cost, in what can be counted: the bytes of its first load, and how far things move. What it costs in
// time is measured by `make bench-page`.

import { crowded, signedIn } from './crowd'
import { expect, withRegistry } from './page'
import type { Registry } from './registry'

const test = withRegistry()

const MODELS = 2_000
const FIRST_LOAD_BYTES = 250_000
const LAYOUT_SHIFT = 0.1

let registry: Registry

test.beforeAll(async () => {
  test.setTimeout(300_000)
  registry = await crowded(MODELS)
})

test.afterAll(() => registry.close())

test(`the first load is at most ${FIRST_LOAD_BYTES / 1000} kB, compressed`, async ({ browser }) => {
  const page = await signedIn(browser, registry)
  let sent = 0
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    sent += encodedDataLength
  })
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: / models$/ })).toBeVisible()
  // What is asked again later, since some models are being verified, is no part of the first load.
  expect(sent).toBeLessThanOrEqual(FIRST_LOAD_BYTES)
  await page.context().close()
})

test('while the list comes, little moves', async ({ browser }) => {
  const page = await signedIn(browser, registry)
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await page.waitForLoadState('networkidle')
  expect(await page.evaluate(shift)).toBeLessThanOrEqual(LAYOUT_SHIFT)
  await page.context().close()
})

/** How far things moved since the page was opened, as browsers count it. */
function shift(): Promise<number> {
  return new Promise((told) => {
    let moved = 0
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) moved += entry.value
    }).observe({ type: 'layout-shift', buffered: true })
    setTimeout(() => told(moved), 200)
  })
}
