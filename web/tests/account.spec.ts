import type { Page } from '@playwright/test'
import { describeProgram } from '../src/features/account/describeProgram'
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

  await other.getByRole('link', { name: 'Team', exact: true }).click()
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
  await other.getByRole('link', { name: 'Team', exact: true }).click()
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
  await expect(page.getByRole('banner').getByRole('link', { name: 'Upload', exact: true })).toBeVisible()

  await page.goto(`${registry.url}/account`)
  await expect(teams).toContainText('owner')
  await page.getByRole('button', { name: 'Switch to Studio' }).click()
  await expect(page.getByRole('banner').getByRole('link', { name: 'Upload', exact: true })).toHaveCount(0)
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

test('a user changes their name, which the team sees, and can undo it', async ({ page, registry, signIn }) => {
  const person = await registry.person('admin', 'Wren')
  await signIn(person, '/account')
  const you = page.getByRole('region', { name: 'You', exact: true })
  await you.getByLabel('First name').fill('Ada')
  await you.getByLabel('Last name').fill('Lovelace')
  await you.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('Your name is changed.')).toBeVisible()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(you.getByLabel('First name')).toHaveValue('Wren')
  await you.getByLabel('First name').fill('Ada')
  await you.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('Your name is changed.')).toBeVisible()
  await page.goto(`${registry.url}/team`)
  await expect(page.getByRole('table')).toContainText('Ada Tester')
})

test('a name without a visible character is refused at its field', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/account')
  await page.getByLabel('First name').fill('\u200b')
  await page.getByRole('region', { name: 'You', exact: true }).getByRole('button', { name: 'Save' }).click()
  await expect(page.getByLabel('First name')).toHaveAttribute('aria-invalid', 'true')
})

test('a user sees their sessions and ends one of them', async ({ page, browser, registry, signIn, pageErrors }) => {
  const person = await registry.person('member')
  const other = await openPageInOtherBrowser(browser, pageErrors)
  await signIn(person, '/account', other)
  await signIn(person, '/account')
  const sessions = page.getByRole('list', { name: 'Your sessions' }).getByRole('listitem')
  await expect(sessions).toHaveCount(2)
  await expect(sessions.filter({ hasText: 'Chrome on Linux (this one)' })).toHaveCount(1)
  await sessions.getByRole('button', { name: 'End the session of Chrome on Linux' }).click()
  await expect(sessions).toHaveCount(1)
  await other.getByRole('link', { name: 'Team', exact: true }).click()
  await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await other.context().close()
})

test('describeProgram names browsers, systems and the command line', () => {
  const cases = [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox on Linux'],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0',
      'Edge on Windows',
    ],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/17.4 Safari/605', 'Safari on macOS'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile Safari/604', 'Safari on iOS'],
    ['modelyard/0.4.0', 'Command line, modelyard 0.4.0'],
    ['curl/8.5.0', 'curl/8.5.0'],
    [null, 'Unknown program'],
  ] as const
  for (const [userAgent, name] of cases) expect(describeProgram(userAgent)).toBe(name)
})
