import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { createEmail, createInvitation, getCurrentUser, openPageInOtherBrowser } from './accounts'
import { expect, expectAccessible, withRegistry } from './fixtures'
import type { Registry } from './registry'

const test = withRegistry()

const PROGRAM = join(import.meta.dirname, '../../.venv/bin/modelyard')

async function fillAccountForm(page: Page, password: string, again = password): Promise<void> {
  await page.getByLabel('First name').fill('Grace')
  await page.getByLabel('Last name').fill('Hopper')
  await page.getByLabel('New password').fill(password)
  await page.getByLabel('Repeat password').fill(again)
  await page.getByRole('button', { name: 'Create account and join' }).click()
}

test('a person without an account joins the team with an invitation link, which then cannot be used again', {
  tag: '@core',
}, async ({ page, browser, registry, signIn, pageErrors }) => {
  const email = createEmail()
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  await page.getByRole('dialog').getByLabel('E-mail').fill(email)
  await page.getByRole('button', { name: 'Create link' }).click()
  const link = (await page.getByRole('group', { name: 'Link' }).locator('pre').textContent()) ?? ''

  const theirs = await openPageInOtherBrowser(browser, pageErrors)
  await theirs.goto(link)
  await expect(theirs.getByRole('main')).toContainText(`${email} is invited to the team “Studio” as: member.`)
  await expectAccessible(theirs)
  await fillAccountForm(theirs, 'password1')
  await expect(theirs.getByLabel('New password')).toHaveAccessibleDescription(/It is easily guessed/)
  await fillAccountForm(theirs, 'a long sentence is best')
  await expect(theirs).toHaveURL(`${registry.url}/models`)
  await expect(theirs.getByText('Welcome to “Studio”.')).toBeVisible()
  await theirs.reload()
  await expect(theirs.getByRole('navigation', { name: 'Views' })).toBeVisible()
  // The link is used up, and says so; the way back does not lead to it.
  await theirs.goto(link)
  await expect(theirs.getByRole('alert')).toContainText('This invitation cannot be used')
  await expectAccessible(theirs)
  await theirs.context().close()

  await page.getByRole('button', { name: 'Done' }).click()
  await page.reload()
  await expect(page.getByRole('table', { name: 'Members' }).getByRole('row', { name: email })).toContainText(
    'Grace Hopper',
  )
})

test('a new password shows its strength, and must be long enough and repeated correctly', async ({
  page,
  registry,
}) => {
  const token = await createInvitation(registry, createEmail())
  await page.goto(`${registry.url}/join#${token}`)
  const password = page.getByLabel('New password')
  const words = {
    short: 'Too short: 3 more characters needed.',
    aaaaaaaaaaaa: 'Weak',
    mangotree7x: 'Fair',
    'brown mango 77': 'Good',
    'The 7 quick brown mangos of Ada': 'Strong',
  }
  for (const [typed, output] of Object.entries(words)) {
    await password.fill(typed)
    await expect(page.getByRole('status')).toContainText(output)
  }
  await fillAccountForm(page, 'short')
  await expect(password).toHaveAccessibleDescription(/8 to 128 characters/)
  await fillAccountForm(page, 'a long sentence', 'another sentence')
  await expect(page.getByLabel('Repeat password')).toHaveAccessibleDescription('The passwords do not match.')
  await expect(page).toHaveURL(/join/)
})

test('a malformed or withdrawn invitation link tells the person to ask for a new one', async ({ page, registry }) => {
  const token = await createInvitation(registry, createEmail())
  const { invitation_list } = await registry.call<{ invitation_list: { id: string }[] }>(
    registry.owner,
    'GET',
    '/invitations',
  )
  await registry.call(registry.owner, 'DELETE', `/invitations/${invitation_list[0]?.id}`)
  for (const ending of ['', '#', '#in-nonsense', '#%', `#${token}`]) {
    await page.goto('about:blank')
    await page.goto(`${registry.url}/join${ending}`)
    await expect(page.getByRole('alert')).toContainText('Ask the person who invited you for a new one')
  }
})

test('a signed-in user accepts an invitation and is switched to the new team', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  const { display_name } = await getCurrentUser(registry, member)
  const token = await inviteToNewTeam(registry, member.email)
  await signIn(member, '/models')
  await page.goto(`${registry.url}/join#${token}`)
  await page.getByRole('button', { name: `Join as ${display_name}` }).click()
  await expect(page).toHaveURL(`${registry.url}/models`)
  await expect(page.getByRole('button', { name: 'Second studio' })).toBeVisible()
})

test('accepting an invitation that fails after the sign-in shows the error and can be retried', {
  tag: '@core',
}, async ({ page, registry }) => {
  const member = await registry.person('member')
  const token = await inviteToNewTeam(registry, member.email)
  await page.route('**/api/v1/invitations/accept', (route) => route.abort())
  await page.goto(`${registry.url}/join#${token}`)
  await page.getByLabel(/^Password/).fill(member.password)
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page.getByRole('alert')).toContainText('The registry does not answer.')
  await page.unroute('**/api/v1/invitations/accept')
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page).toHaveURL(`${registry.url}/models`)
  await expect(page.getByRole('button', { name: 'Second studio' })).toBeVisible()
})

test('a signed-out user signs in on the invitation page and joins', async ({ page, registry }) => {
  const member = await registry.person('member')
  const token = await inviteToNewTeam(registry, member.email)
  await page.goto(`${registry.url}/join#${token}`)
  const password = page.getByLabel(/^Password/)
  await password.fill('not the password')
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page.getByRole('alert')).toContainText('wrong')
  await password.fill(member.password)
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page.getByRole('button', { name: 'Second studio' })).toBeVisible()
})

test('an invitation for another e-mail address asks the signed-in user to sign out first', async ({
  page,
  registry,
  signIn,
}) => {
  const email = createEmail()
  const token = await createInvitation(registry, email)
  await signIn(registry.owner, '/models')
  await page.goto(`${registry.url}/join#${token}`)
  await expect(page.getByRole('alert')).toContainText(`You are signed in as ${registry.owner.email}`)
  await page.getByRole('button', { name: 'Sign out and continue' }).click()
  await expect(page.getByLabel('First name')).toBeVisible()
})

test('a password reset link sets a new password once and is removed from the URL', async ({
  page,
  registry,
  signIn,
}) => {
  const person = await registry.person('member')
  const data = join(registry.home, 'data')
  const output = execFileSync(PROGRAM, ['reset-password', person.email, '--data-dir', data], { encoding: 'utf8' })
  const token = /token=(\S+)/.exec(output)?.[1] ?? ''
  const address = `${registry.url}/reset-password?token=${token}`
  await page.goto(address)
  await expect(page).toHaveURL(`${registry.url}/reset-password`)
  await expectAccessible(page)
  await page.getByLabel('New password').fill('another long sentence')
  await page.getByLabel('Repeat password').fill('another long sentence')
  await page.getByRole('button', { name: 'Set password' }).click()
  await expect(page.getByText('Your password is changed.')).toBeVisible()
  await page.getByRole('link', { name: 'Sign in' }).click()
  await signIn({ ...person, password: 'another long sentence' })

  await page.goto(address)
  await page.getByLabel('New password').fill('a third long sentence')
  await page.getByLabel('Repeat password').fill('a third long sentence')
  await page.getByRole('button', { name: 'Set password' }).click()
  await expect(page.getByRole('alert')).toContainText('already used')
  await page.reload()
  await expect(page.getByRole('alert')).toContainText('This link cannot be used')
})

async function inviteToNewTeam(registry: Registry, email: string): Promise<string> {
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', {
    display_name: 'Second studio',
  })
  const asked = { email_address: email, invitation_role: 'viewer' }
  const there = registry.inTeam(id)
  const created = await there.call<{ invitation_token: string }>(registry.owner, 'POST', '/invitations', asked)
  return created.invitation_token
}
