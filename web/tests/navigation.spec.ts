// The navigation at the bottom of narrow screens.

import { checkLooks, expect, withRegistry } from './fixtures'

const test = withRegistry()

test.use({ viewport: { width: 380, height: 800 } })

test('a phone has tabs for four views and a menu with the others', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/models')
  const tabs = page.getByRole('navigation', { name: 'Views' })
  await expect(tabs.getByRole('link')).toHaveText(['Models', 'Uploads', 'Machines', 'Workflows'])
  const more = tabs.getByRole('button', { name: 'More' })
  await expect(more).not.toHaveAttribute('aria-current')
  await more.click()
  await expect(page.getByRole('menuitem')).toHaveText(['Collections', 'Team'])
  await page.screenshot({ path: 'results/screens/navigation-more-open.png' })
  await page.keyboard.press('Escape')
  await expect(more).toBeFocused()
  await more.click()
  await page.getByRole('menuitem', { name: 'Collections' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Collections' })).toBeVisible()
  await expect(more).toHaveAttribute('aria-current', 'true')
  await checkLooks(page, 'navigation-more')
})

test('a viewer has a tab for each view, without a menu', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('viewer'), '/models')
  const tabs = page.getByRole('navigation', { name: 'Views' })
  await expect(tabs.getByRole('link')).toHaveText(['Models', 'Machines', 'Workflows', 'Collections', 'Team'])
  await expect(tabs.getByRole('button')).toHaveCount(0)
})
