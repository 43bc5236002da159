import type { Page } from '@playwright/test'
import { openPageInOtherBrowser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'

const test = withRegistry()

async function changePassword(page: Page, before: string, after: string): Promise<void> {
  await page.getByLabel('Current password').fill(before)
  await page.getByLabel('New password').fill(after)
  await page.getByLabel('Repeat password').fill(after)
  await page.getByRole('button', { name: 'Change password' }).click()
}

test('changing the password signs out the other sessions and keeps this one', async ({
  page,
  browser,
  registry,
  signIn,
  pageErrors,
}) => {
  const person = await registry.person('member')
  const other = await openPageInOtherBrowser(browser, pageErrors)
  await signIn(person, '/account', other)
  await signIn(person, '/account')
  await changePassword(page, person.password, 'another long sentence')
  await expect(page.getByText('Your password is changed')).toBeVisible()
  await expect(page.getByLabel('Current password')).toHaveValue('')

  await other.getByRole('link', { name: 'Keys' }).click()
  await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await page.reload()
  await expect(page.getByText(person.email)).toBeVisible()
  await signIn({ ...person, password: 'another long sentence' }, '/account', other)
  await other.context().close()
})

test('changing the password with a wrong current password shows the error at its field', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(await registry.person('member'), '/account')
  await changePassword(page, 'not the password', 'another long sentence')
  await expect(page.getByLabel('Current password')).toHaveAccessibleDescription('The current password is wrong.')
})

test('an easily guessed new password is refused at its field', async ({ page, registry, signIn }) => {
  const person = await registry.person('member')
  await signIn(person, '/account')
  for (const guessable of ['iloveyou', person.email]) {
    await changePassword(page, person.password, guessable)
    await expect(page.getByLabel('New password')).toHaveAccessibleDescription(/It is easily guessed/)
  }
  await changePassword(page, person.password, 'another long sentence')
  await expect(page.getByText('Your password is changed')).toBeVisible()
})

test('signing out everywhere signs out all browsers of the user', async ({
  page,
  browser,
  registry,
  signIn,
  pageErrors,
}) => {
  const person = await registry.person('member')
  const other = await openPageInOtherBrowser(browser, pageErrors)
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

test('the account view shows the user and their teams, and switches to another team', async ({
  page,
  registry,
  signIn,
}) => {
  const person = await registry.person('viewer')
  await signIn(person, '/account')
  await expect(page.getByRole('region', { name: 'You', exact: true })).toContainText(person.email)
  const teams = page.getByRole('region', { name: 'Your teams' })
  await expect(teams).toContainText('Studio')
  await expect(teams).toContainText('viewer')

  await page.getByRole('button', { name: 'Create team' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('My own')
  await expectAccessible(page)
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await expect(page).toHaveURL(`${registry.url}/models`)
  await expect(page.getByRole('link', { name: 'Members' })).toBeVisible()

  await page.goto(`${registry.url}/account`)
  await expect(teams).toContainText('owner')
  await page.getByRole('button', { name: 'Switch to Studio' }).click()
  await expect(page.getByRole('link', { name: 'Members' })).toHaveCount(0)
})

test('the account view is accessible in light and dark and fits wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/account')
  await expect(page.getByRole('region', { name: 'You', exact: true })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
    }
  }
})
