import { registered } from './files'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { whoIs } from './people'
import type { Person, Registry } from './registry'

const test = withRegistry()

interface Team {
  id: string
  display_name: string
  pickle_policy: string
  quota_bytes: number | null
}

/** A team of the owner's for one test, and a person in it. */
async function teamOf(registry: Registry, display_name: string): Promise<string> {
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name })
  return id
}

async function join(registry: Registry, team: string, person: Person, invitation_role: string): Promise<void> {
  const asked = { email_address: person.email, invitation_role }
  const made = await registry
    .inTeam(team)
    .call<{ invitation_token: string }>(registry.owner, 'POST', '/invitations', asked)
  await registry.inTeam(team).call(person, 'POST', '/invitations/accept', made)
}

test('an admin changes name, pickle files and quota', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team/settings')
  const form = page.getByRole('region', { name: 'General' })
  await form.getByLabel('Let them in when a scan finds nothing').check()
  await expect(form).toContainText('labelled as scanned, not blessed')
  await form.getByRole('switch', { name: 'Limit what the team may store' }).click()
  await form.getByLabel('At most').fill('1.5')
  await form.getByLabel('Unit').selectOption('TB')
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The settings are saved.')).toBeVisible()
  await expect(page.getByRole('region', { name: 'Storage' })).toContainText('of 1.5 TB used')
  const now = await registry.call<Team>(admin, 'GET', '/teams/current')
  expect(now).toMatchObject({ display_name: 'Studio', pickle_policy: 'scan', quota_bytes: 1_500_000_000_000 })

  await form.getByLabel('Name').fill('Studio North')
  await form.getByRole('switch', { name: 'Limit what the team may store' }).click()
  await form.getByLabel('Refuse them').check()
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('banner')).toContainText('Studio North')
  const then = await registry.call<Team>(admin, 'GET', '/teams/current')
  expect(then).toMatchObject({ display_name: 'Studio North', pickle_policy: 'block', quota_bytes: null })
  await registry.call(admin, 'PUT', '/teams/current', { display_name: 'Studio' })
})

test('two admins do not undo what the other changed, and what one types stays', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const team = await teamOf(registry, 'Both change')
  await join(registry, team, admin, 'admin')
  const elsewhere = registry.inTeam(team)
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Go to Both change' }).click()
  await page.getByRole('link', { name: 'Team settings' }).click()
  const form = page.getByRole('region', { name: 'General' })
  await form.getByLabel('Name').fill('Both changed')
  await elsewhere.call(admin, 'PUT', '/teams/current', { pickle_policy: 'scan', quota_bytes: 2_000_000_000 })
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(form.getByLabel('At most')).toHaveValue('2')
  await expect(form.getByLabel('Let them in when a scan finds nothing')).toBeChecked()
  const now = await elsewhere.call<Team>(admin, 'GET', '/teams/current')
  expect(now).toMatchObject({ display_name: 'Both changed', pickle_policy: 'scan', quota_bytes: 2_000_000_000 })
})

test('what is typed while the settings are being saved stays', async ({ page, registry, signIn }) => {
  await teamOf(registry, 'Still typing')
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Go to Still typing' }).click()
  await page.getByRole('link', { name: 'Team settings' }).click()
  const form = page.getByRole('region', { name: 'General' })
  await page.route('**/api/v1/users/me', async (route) => {
    await form.getByLabel('Name').fill('Typed meanwhile')
    await route.continue()
  })
  await form.getByLabel('Let them in when a scan finds nothing').check()
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The settings are saved.')).toBeVisible()
  await expect(form.getByLabel('Name')).toHaveValue('Typed meanwhile')
  await page.unroute('**/api/v1/users/me')
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('banner')).toContainText('Typed meanwhile')
})

test('below an admin the settings are read, and only leaving is offered', async ({ page, registry, signIn }) => {
  await registered(registry, 'loras/stored.safetensors')
  await signIn(await registry.person('member'), '/team/settings')
  await expect(page.getByRole('region', { name: 'General' })).toContainText('Admins change these settings.')
  await expect(page.getByRole('region', { name: 'Storage' })).toContainText('used, without a limit.')
  const buttons = page.getByRole('main').getByRole('button')
  await expect(buttons).toHaveText(['Make a team', 'Leave the team'])
  await expect(page.getByRole('main').getByRole('textbox')).toHaveCount(0)
})

test('a member leaves, and is in no team', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/team/settings')
  await page.getByRole('button', { name: 'Leave the team' }).click()
  await expect(page.getByRole('dialog', { name: 'Leave the team?' })).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('dialog', { name: 'Leave the team?' }).getByRole('button', { name: 'Leave' }).click()
  await expect(page.getByText('You are no longer in “Studio”.')).toBeVisible()
  await expect(page.getByRole('heading', { name: 'You are in no team' })).toBeVisible()
  await expectAccessible(page)
})

test('the owner hands the team over, and is an admin from then on', async ({ page, registry, signIn }) => {
  const heir = await registry.person('member')
  const team = await teamOf(registry, 'To hand over')
  await join(registry, team, heir, 'viewer')
  await signIn(registry.owner, '/models')
  await page.getByRole('button', { name: 'Studio' }).click()
  await page.getByRole('menuitem', { name: 'To hand over' }).click()
  await page.getByRole('link', { name: 'Team settings' }).click()
  await expect(page.getByLabel('New owner')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Leave the team' })).toHaveCount(0)
  await page.getByLabel('New owner').selectOption({ value: (await whoIs(registry, heir)).id })
  await page.getByRole('button', { name: 'Hand over', exact: true }).click()
  await expect(page.getByRole('dialog', { name: 'Hand the team over?' })).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('dialog', { name: 'Hand the team over?' }).getByRole('button', { name: 'Hand over' }).click()
  await expect(page.getByText('Your role in “To hand over” is now: admin.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Leave the team' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Delete the team' })).toHaveCount(0)
})

test('the owner deletes a team by typing its name', async ({ page, registry, signIn }) => {
  await teamOf(registry, 'To delete')
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Go to To delete' }).click()
  await page.getByRole('link', { name: 'Team settings' }).click()
  await expect(page.getByRole('region', { name: 'Delete' })).toContainText('For 7 days')
  await page.getByRole('button', { name: 'Delete the team' }).click()
  const dialog = page.getByRole('dialog', { name: 'Delete the team?' })
  await expect(dialog).toBeVisible()
  await expectAccessible(page)
  const button = dialog.getByRole('button', { name: 'Delete' })
  await dialog.getByLabel('Name of the team').fill('To del')
  await expect(button).toBeDisabled()
  await dialog.getByLabel('Name of the team').fill('To delete')
  await button.click()
  await expect(page.getByText('You are no longer in “To delete”.')).toBeVisible()
  await expect(page.getByRole('banner')).toContainText('Studio')
})

test('a viewer sees no button of these views that would be refused', async ({ page, registry, signIn }) => {
  const viewer = await registry.person('viewer')
  await signIn(viewer, '/team/settings')
  const refused: string[] = []
  page.on('response', (answer) => answer.status() === 403 && refused.push(answer.url()))
  const shown: Record<string, string[]> = {
    '/team': [],
    '/team/keys': [],
    '/team/history': [],
    '/team/settings': ['Make a team', 'Leave the team'],
    '/account': ['', '', '', 'Change the password', 'Sign out here', 'Sign out everywhere', 'Make a team'],
  }
  for (const [address, buttons] of Object.entries(shown)) {
    await page.goto(`${registry.url}${address}`)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
    await page.waitForLoadState('networkidle')
    await expect(page.getByRole('main').getByRole('button')).toHaveText(buttons)
  }
  // Nor does a view ask for what a viewer is not told.
  expect(refused).toEqual([])
  await expect(page.getByRole('navigation', { name: 'Views' }).getByRole('link')).toHaveText([
    'Models',
    'Machines',
    'Keys',
    'Team settings',
  ])
})

test('the settings are accessible, in light and dark, wide and narrow', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  await expect(page.getByRole('region', { name: 'General' })).toBeVisible()
  await page.getByRole('switch', { name: 'Limit what the team may store' }).click()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
    }
  }
})
