import type { Page } from '@playwright/test'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { otherPage } from './people'

const test = withRegistry()

async function change(page: Page, before: string, after: string): Promise<void> {
  await page.getByLabel('Current password').fill(before)
  await page.getByLabel('New password').fill(after)
  await page.getByLabel('The same again').fill(after)
  await page.getByRole('button', { name: 'Change the password' }).click()
}

test('a changed password ends the other sessions, not this one', async ({
  page,
  browser,
  registry,
  signIn,
  mishaps,
}) => {
  const person = await registry.person('member')
  const other = await otherPage(browser, mishaps)
  await signIn(person, '/account', other)
  await signIn(person, '/account')
  await change(page, person.password, 'another long sentence')
  await expect(page.getByText('Your password is changed')).toBeVisible()
  await expect(page.getByLabel('Current password')).toHaveValue('')

  await other.getByRole('link', { name: 'Keys' }).click()
  await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await page.reload()
  await expect(page.getByText(person.email)).toBeVisible()
  await signIn({ ...person, password: 'another long sentence' }, '/account', other)
  await other.context().close()
})

test('a wrong current password is said at its field', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/account')
  await change(page, 'not the password', 'another long sentence')
  await expect(page.getByLabel('Current password')).toHaveAccessibleDescription('The current password is wrong.')
})

test('signing out everywhere ends all sessions', async ({ page, browser, registry, signIn, mishaps }) => {
  const person = await registry.person('member')
  const other = await otherPage(browser, mishaps)
  await signIn(person, '/team/settings', other)
  await signIn(person, '/account')
  await page.getByRole('button', { name: 'Sign out everywhere' }).click()
  const question = page.getByRole('dialog', { name: 'Sign out everywhere?' })
  await expect(question).toBeVisible()
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Sign out everywhere' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await other.getByRole('link', { name: 'Keys' }).click()
  await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await other.context().close()
})

test('one sees who one is and where, and goes to another team', async ({ page, registry, signIn }) => {
  const person = await registry.person('viewer')
  await signIn(person, '/account')
  await expect(page.getByRole('region', { name: 'You', exact: true })).toContainText(person.email)
  const teams = page.getByRole('region', { name: 'Your teams' })
  await expect(teams).toContainText('Studio')
  await expect(teams).toContainText('viewer')

  await page.getByRole('button', { name: 'Make a team' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('My own')
  await expectAccessible(page)
  await page.getByRole('dialog').getByRole('button', { name: 'Make it' }).click()
  await expect(page).toHaveURL(`${registry.url}/models`)
  await expect(page.getByRole('link', { name: 'Members' })).toBeVisible()

  await page.goto(`${registry.url}/account`)
  await expect(teams).toContainText('owner')
  await page.getByRole('button', { name: 'Go to Studio' }).click()
  await expect(page.getByRole('link', { name: 'Members' })).toHaveCount(0)
})

test('the account is accessible, in light and dark, wide and narrow', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/account')
  await expect(page.getByRole('region', { name: 'You', exact: true })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
    }
  }
})
