// A page that is open while the registry restarts: it says so, keeps what it shows, and recovers by itself.

import { expect, expectAccessible, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'

const test = withRegistry()

const MESSAGE = 'The registry does not answer. What is shown may be out of date.'

test('a list keeps its rows through a restart of the registry, and then shows what was searched meanwhile', async ({
  page,
  registry,
  signIn,
}, info) => {
  for (const name of ['keep-a', 'keep-b']) await registerModel(registry, `loras/${name}.safetensors`)
  await signIn(registry.owner, '/models?q=keep')
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await registry.kill()
  await page.getByRole('combobox', { name: 'Search models' }).fill('keep-b')
  const notice = page.getByRole('status', { name: 'Connection' })
  await expect(notice).toContainText(MESSAGE)
  await expect(notice).toContainText(/Trying again (in \d+ s\.|…)/)
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await page.screenshot({ path: info.outputPath('outage-1280.png') })
  await registry.start()
  await expect(notice).toBeEmpty({ timeout: 60_000 })
  // Not after the pause that the search would wait for by itself, which is up to 15 seconds.
  await expect(page.getByRole('gridcell')).toHaveCount(1, { timeout: 4_000 })
})

for (const width of [1440, 380]) {
  test(`the notice of an outage leaves the actions on selected models free at ${width} pixels`, async ({
    page,
    registry,
    signIn,
  }, info) => {
    await registerModel(registry, `loras/chosen-${width}.safetensors`)
    // So low that the actions are at the bottom of the window.
    await page.setViewportSize({ width, height: 560 })
    await signIn(registry.owner, `/models?q=chosen-${width}`)
    await page.getByRole('checkbox', { name: `Select chosen-${width}` }).check({ force: true })
    const bar = page.getByRole('region', { name: 'Selected models' })
    await expect(bar).toBeVisible()
    await page.route('**/api/**', (route) => route.abort())
    await expect(page.getByRole('status', { name: 'Connection' })).toContainText(MESSAGE, { timeout: 60_000 })
    await page.screenshot({ path: info.outputPath(`outage-bar-${width}.png`) })
    const below = (await bar.boundingBox()) ?? { y: 560, height: 0 }
    const notice = await page.locator('[data-outage]').boundingBox()
    expect(below.y + below.height).toBeLessThanOrEqual(notice?.y ?? 0)
  })
}

test('a list that the registry itself answers with a passing problem shows that problem', async ({
  page,
  registry,
  signIn,
}) => {
  const detail = 'The database took too long. Try again.'
  const problem = { type: '/problems/unavailable', title: 'Unavailable', status: 503, detail }
  const body = JSON.stringify({ ...problem, error_message: detail, error_code: 'unavailable', retry_after: 2 })
  await registerModel(registry, 'loras/keep.safetensors')
  await page.route('**/api/v1/models?*', (route) =>
    route.fulfill({ status: 503, contentType: 'application/problem+json', body }),
  )
  await signIn(registry.owner, '/models?q=slow')
  await expect(page.getByText(detail)).toBeVisible({ timeout: 30_000 })
  await expect(page.getByRole('status', { name: 'Connection' })).toBeEmpty()
})

test('machines and their notice recover after a restart of the registry', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/machines')
  await expect(page.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()
  await registry.stop()
  await expect(page.getByRole('status', { name: 'Connection' })).toContainText(MESSAGE)
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Retry now' }).click()
  await expect(page.getByRole('status', { name: 'Connection' })).toContainText(MESSAGE)
  await registry.start()
  await expect(page.getByRole('status', { name: 'Connection' })).toBeEmpty({ timeout: 60_000 })
  await expect(page.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()
})

test('a failing request alone is no outage', async ({ page, registry, signIn }) => {
  await page.route('**/api/v1/models/facets?*', (route) => route.fulfill({ status: 502, body: 'bad gateway' }))
  await signIn(registry.owner, '/models?q=keep')
  const notice = page.getByRole('status', { name: 'Connection' })
  await notice.evaluate((element) => {
    new MutationObserver(() => element.setAttribute('data-was-shown', '')).observe(element, { childList: true })
  })
  await page.waitForResponse(/models\/facets/)
  // The registry is asked once, and answers; a notice would be shown by then.
  await page.waitForResponse(/teams\/current/)
  await page.waitForTimeout(2_000)
  await expect(notice).not.toHaveAttribute('data-was-shown')
})

test('a page that is opened while the registry does not answer starts by itself later', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/account')
  await page.route('**/api/v1/auth/refresh', (route) => route.abort())
  await page.reload()
  await expect(page.getByText('The registry does not answer. Trying again every few seconds.')).toBeVisible()
  await page.unroute('**/api/v1/auth/refresh')
  await expect(page.getByRole('navigation', { name: 'Views' })).toBeVisible()
})
