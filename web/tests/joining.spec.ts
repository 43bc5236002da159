import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { expect, expectAccessible, withRegistry } from './page'
import { freshEmail, invited, otherPage, whoIs } from './people'
import type { Registry } from './registry'

const test = withRegistry()

const PROGRAM = join(import.meta.dirname, '../../.venv/bin/modelyard')

async function makeAccount(page: Page, password: string, again = password): Promise<void> {
  await page.getByLabel('First name').fill('Grace')
  await page.getByLabel('Last name').fill('Hopper')
  await page.getByLabel('New password').fill(password)
  await page.getByLabel('The same again').fill(again)
  await page.getByRole('button', { name: 'Make the account and join' }).click()
}

test('somebody without an account joins by the link that an admin hands over', async ({
  page,
  browser,
  registry,
  signIn,
  mishaps,
}) => {
  const email = freshEmail()
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  await page.getByRole('dialog').getByLabel('E-mail').fill(email)
  await page.getByRole('button', { name: 'Make the link' }).click()
  const link = (await page.getByRole('group', { name: 'Link' }).locator('pre').textContent()) ?? ''

  const theirs = await otherPage(browser, mishaps)
  await theirs.goto(link)
  await expect(theirs.getByRole('main')).toContainText(`${email} is invited to the team “Studio” as: member.`)
  await expectAccessible(theirs)
  await makeAccount(theirs, 'a long sentence is best')
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

test('a new password is measured in words, and typed twice', async ({ page, registry }) => {
  const token = await invited(registry, freshEmail())
  await page.goto(`${registry.url}/join#${token}`)
  const password = page.getByLabel('New password')
  const words = {
    short: 'Too short: 3 more to go.',
    aaaaaaaaaaaa: 'Weak',
    mangotree7x: 'Fair',
    'brown mango 77': 'Good',
    'The 7 quick brown mangos of Ada': 'Strong',
  }
  for (const [typed, said] of Object.entries(words)) {
    await password.fill(typed)
    await expect(page.getByRole('status')).toContainText(said)
  }
  await makeAccount(page, 'short')
  await expect(password).toHaveAccessibleDescription(/8 to 128 characters/)
  await makeAccount(page, 'a long sentence', 'another sentence')
  await expect(page.getByLabel('The same again')).toHaveAccessibleDescription('This is not the same.')
  await expect(page).toHaveURL(/join/)
})

test('a link that is wrong, too short or withdrawn says what to do', async ({ page, registry }) => {
  const token = await invited(registry, freshEmail())
  const { invitation_list } = await registry.call<{ invitation_list: { id: string }[] }>(
    registry.owner,
    'GET',
    '/invitations',
  )
  await registry.call(registry.owner, 'DELETE', `/invitations/${invitation_list[0]?.id}`)
  for (const ending of ['', '#', '#in-nonsense', '#%', `#${token}`]) {
    await page.goto('about:blank')
    await page.goto(`${registry.url}/join${ending}`)
    await expect(page.getByRole('alert')).toContainText('Ask whoever invited you for a new one')
  }
})

test('somebody with an account in another team joins as who they are, and is in that team', async ({
  page,
  registry,
  signIn,
}) => {
  const member = await registry.person('member')
  const { display_name } = await whoIs(registry, member)
  const token = await invitedToNewTeam(registry, member.email)
  await signIn(member, '/models')
  await page.goto(`${registry.url}/join#${token}`)
  await page.getByRole('button', { name: `Join as ${display_name}` }).click()
  await expect(page).toHaveURL(`${registry.url}/models`)
  await expect(page.getByRole('button', { name: 'Second studio' })).toBeVisible()
})

test('what is refused after signing in on the way is told, and tried again', async ({ page, registry }) => {
  const member = await registry.person('member')
  const token = await invitedToNewTeam(registry, member.email)
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

test('somebody with an account signs in on the way', async ({ page, registry }) => {
  const member = await registry.person('member')
  const token = await invitedToNewTeam(registry, member.email)
  await page.goto(`${registry.url}/join#${token}`)
  const password = page.getByLabel(/^Password/)
  await password.fill('not the password')
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page.getByRole('alert')).toContainText('wrong')
  await password.fill(member.password)
  await page.getByRole('button', { name: 'Sign in and join' }).click()
  await expect(page.getByRole('button', { name: 'Second studio' })).toBeVisible()
})

test('an invitation for somebody else is not accepted by mistake', async ({ page, registry, signIn }) => {
  const email = freshEmail()
  const token = await invited(registry, email)
  await signIn(registry.owner, '/models')
  await page.goto(`${registry.url}/join#${token}`)
  await expect(page.getByRole('alert')).toContainText(`You are signed in as ${registry.owner.email}`)
  await page.getByRole('button', { name: 'Sign out and go on' }).click()
  await expect(page.getByLabel('First name')).toBeVisible()
})

test('the link of the operator sets a new password, once, and leaves no token behind', async ({
  page,
  registry,
  signIn,
}) => {
  const person = await registry.person('member')
  const data = join(registry.home, 'data')
  const said = execFileSync(PROGRAM, ['reset-password', person.email, '--data-dir', data], { encoding: 'utf8' })
  const token = /token=(\S+)/.exec(said)?.[1] ?? ''
  const address = `${registry.url}/reset-password?token=${token}`
  await page.goto(address)
  await expect(page).toHaveURL(`${registry.url}/reset-password`)
  await expectAccessible(page)
  await page.getByLabel('New password').fill('another long sentence')
  await page.getByLabel('The same again').fill('another long sentence')
  await page.getByRole('button', { name: 'Set the password' }).click()
  await expect(page.getByText('Your password is changed.')).toBeVisible()
  await page.getByRole('link', { name: 'Sign in' }).click()
  await signIn({ ...person, password: 'another long sentence' })

  await page.goto(address)
  await page.getByLabel('New password').fill('a third long sentence')
  await page.getByLabel('The same again').fill('a third long sentence')
  await page.getByRole('button', { name: 'Set the password' }).click()
  await expect(page.getByRole('alert')).toContainText('used already')
  await page.reload()
  await expect(page.getByRole('alert')).toContainText('This link cannot be used')
})

async function invitedToNewTeam(registry: Registry, email: string): Promise<string> {
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', {
    display_name: 'Second studio',
  })
  const asked = { email_address: email, invitation_role: 'viewer' }
  const there = registry.inTeam(id)
  const made = await there.call<{ invitation_token: string }>(registry.owner, 'POST', '/invitations', asked)
  return made.invitation_token
}
