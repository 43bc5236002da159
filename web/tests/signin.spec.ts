import { expect, expectAccessible, withRegistry } from './fixtures'

const test = withRegistry()

test('signing in shows the view whose URL was opened', { tag: '@core' }, async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  await expect(page).toHaveURL(`${registry.url}/team/settings`)
})

test('a wrong password shows an error and keeps the typed e-mail address', async ({ page, registry }) => {
  await page.goto(registry.url)
  await page.getByLabel('E-mail').fill(registry.owner.email)
  await page.getByLabel(/^Password/).fill('not the password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('alert')).toBeVisible()
  await expect(page.getByLabel('E-mail')).toHaveValue(registry.owner.email)
})

test('a reload keeps the session, whose tokens scripts cannot read', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner)
  await page.reload()
  await expect(page.getByRole('navigation', { name: 'Views' })).toBeVisible()
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie)
  expect(kept).not.toMatch(/eyJ|mr-/)
})

test('signing out in one tab signs out the other tabs', async ({ page, registry, signIn, context }) => {
  await signIn(registry.owner)
  const other = await context.newPage()
  await other.goto(registry.url)
  await expect(other.getByRole('navigation', { name: 'Views' })).toBeVisible()
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible()
})

test('the sign-in form is accessible', async ({ page, registry }) => {
  await page.goto(registry.url)
  await expectAccessible(page)
})

test('an unknown URL shows that the page was not found', async ({ page, registry }) => {
  await page.goto(`${registry.url}/no/such/view`)
  await expect(page.getByRole('heading', { name: 'Page not found' })).toBeVisible()
})
