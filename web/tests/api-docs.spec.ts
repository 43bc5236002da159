// The page of the API under its policy: it is drawn, and the policy has nothing to forbid (see fixtures.ts).

import { expect, withRegistry } from './fixtures'

const test = withRegistry()

test('the API documentation page lists the operations and expands one', async ({ page, registry }) => {
  await page.goto(`${registry.url}/docs`)
  await expect(page.getByRole('heading', { name: /Modelyard/ }).first()).toBeVisible()
  await expect(page.locator('.opblock').first()).toBeVisible()
  await page.locator('.opblock-summary-control').first().click()
  await expect(page.locator('.opblock-body').first()).toBeVisible()
})
