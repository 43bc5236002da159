import { getCurrentUser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, openTeamView, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Person, Registry } from './registry'

const test = withRegistry()

interface Team {
  id: string
  display_name: string
  pickle_policy: string
  quota_bytes: number | null
  kept_versions: number
  kept_version_days: number
  machines_may_request: boolean
  hub_may_import: boolean
}

/** Create a team of the owner for one test. */
async function createTeam(registry: Registry, display_name: string): Promise<string> {
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name })
  return id
}

async function join(registry: Registry, team: string, person: Person, invitation_role: string): Promise<void> {
  const asked = { email_address: person.email, invitation_role }
  const created = await registry
    .inTeam(team)
    .call<{ invitation_token: string }>(registry.owner, 'POST', '/invitations', asked)
  await registry.inTeam(team).call(person, 'POST', '/invitations/accept', created)
}

test('an admin changes the name, the pickle policy and the quota of the team', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team/settings')
  await expect(page.getByRole('link', { name: 'Members' })).not.toHaveAttribute('aria-current')
  const form = page.getByRole('region', { name: 'General' })
  await form.getByLabel('Accept them if a scan finds nothing', { exact: true }).check()
  await expect(form).toContainText('Files with .ckpt, .pt, .pt2, .pth, .bin, .pkl and .jit can run any code')
  await expect(form).toContainText('marked as scanned, which is no guarantee')
  await form.getByRole('switch', { name: 'Limit the storage of the team' }).click()
  await form.getByLabel('At most').fill('1.5')
  await form.getByLabel('Unit').selectOption('TB')
  await form.getByLabel('Kept versions').fill('12')
  await form.getByLabel('Days for which all versions are kept').fill('90')
  await form.getByRole('switch', { name: 'Machines may request models' }).click()
  await form.getByRole('switch', { name: 'Clients of Hugging Face may import' }).click()
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The settings are saved.')).toBeVisible()
  await expect(page.getByRole('region', { name: 'Storage' })).toContainText('of 1.5 TB used')
  const now = await registry.call<Team>(admin, 'GET', '/teams/current')
  expect(now).toMatchObject({ display_name: 'Studio', pickle_policy: 'scan', quota_bytes: 1_500_000_000_000 })
  expect(now).toMatchObject({ kept_versions: 12, kept_version_days: 90, machines_may_request: false })
  expect(now.hub_may_import).toBe(true)

  await form.getByLabel('Name').fill('Studio North')
  await form.getByRole('switch', { name: 'Limit the storage of the team' }).click()
  await form.getByLabel('Refuse them').check()
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('banner')).toContainText('Studio North')
  const then = await registry.call<Team>(admin, 'GET', '/teams/current')
  expect(then).toMatchObject({ display_name: 'Studio North', pickle_policy: 'block', quota_bytes: null })
  const defaults = { kept_versions: null, kept_version_days: null, machines_may_request: null, hub_may_import: null }
  await registry.call(admin, 'PUT', '/teams/current', { display_name: 'Studio', ...defaults })
})

test('saving team settings keeps the changes that another admin saved meanwhile', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const admin = await registry.person('admin')
  const team = await createTeam(registry, 'Both change')
  await join(registry, team, admin, 'admin')
  const elsewhere = registry.inTeam(team)
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Switch to Both change' }).click()
  await openTeamView(page, 'Team settings')
  const form = page.getByRole('region', { name: 'General' })
  await form.getByLabel('Name').fill('Both changed')
  await elsewhere.call(admin, 'PUT', '/teams/current', { pickle_policy: 'scan', quota_bytes: 2_000_000_000 })
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(form.getByLabel('At most')).toHaveValue('2')
  await expect(form.getByLabel('Accept them if a scan finds nothing', { exact: true })).toBeChecked()
  const now = await elsewhere.call<Team>(admin, 'GET', '/teams/current')
  expect(now).toMatchObject({ display_name: 'Both changed', pickle_policy: 'scan', quota_bytes: 2_000_000_000 })
})

test('text typed while the settings are being saved is kept', { tag: '@core' }, async ({ page, registry, signIn }) => {
  await createTeam(registry, 'Still typing')
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Switch to Still typing' }).click()
  await openTeamView(page, 'Team settings')
  const form = page.getByRole('region', { name: 'General' })
  await page.route('**/api/v1/users/me', async (route) => {
    await form.getByLabel('Name').fill('Typed meanwhile')
    await route.continue()
  })
  await form.getByLabel('Accept them if a scan finds nothing', { exact: true }).check()
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('The settings are saved.')).toBeVisible()
  await expect(form.getByLabel('Name')).toHaveValue('Typed meanwhile')
  await page.unrouteAll({ behavior: 'wait' })
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('banner')).toContainText('Typed meanwhile')
})

test('a member sees the settings read-only and can only create or leave a team', async ({ page, registry, signIn }) => {
  await registerModel(registry, 'loras/stored.safetensors')
  await signIn(await registry.person('member'), '/team/settings')
  await expect(page.getByRole('region', { name: 'General' })).toContainText('Only admins can change these settings.')
  await expect(page.getByRole('region', { name: 'Storage' })).toContainText('used, without a limit.')
  await expect(page.getByRole('region', { name: 'General' })).toContainText(
    /the newest \d+ are kept, and all for \d+ days/,
  )
  const buttons = page.getByRole('main').getByRole('button')
  await expect(buttons).toHaveText(['Create team', 'Leave team'])
  await expect(page.getByRole('main').getByRole('textbox')).toHaveCount(0)
})

test('admins add inputs of custom nodes, and a change by another admin is shown before it can be replaced', async ({
  page,
  registry,
  signIn,
}) => {
  const listLoaders = async () =>
    (await registry.call<{ loader_list: object[] }>(registry.owner, 'GET', '/teams/current')).loader_list
  await signIn(registry.owner, '/team/settings')
  const panel = page.getByRole('region', { name: 'Custom nodes that load models' })
  const add = async (node: string, input: string, folder: string) => {
    await panel.getByRole('textbox', { name: 'Node' }).fill(node)
    await panel.getByRole('textbox', { name: 'Input' }).fill(input)
    await panel.getByLabel('Folder').fill(folder)
    await panel.getByRole('button', { name: 'Add input' }).click()
  }
  await add('LoraLoader', 'lora_name', 'loras')
  await expect(panel).toContainText("The registry knows the inputs of 'LoraLoader' already")
  await expect(panel.getByRole('table')).toHaveCount(0)
  await add('StyleLoader', 'style', 'vae')
  await expect(panel.getByRole('row', { name: 'StyleLoader style vae' })).toBeVisible()
  await add('StyleLoader', 'style', 'loras')
  await expect(panel.getByRole('row', { name: 'StyleLoader style loras' })).toBeVisible()
  await expect(panel.getByRole('textbox', { name: 'Node' })).toHaveValue('')
  await expectAccessible(page)
  const first = { node_type: 'StyleLoader', input: 'style', folder: 'loras' }
  expect(await listLoaders()).toEqual([first])

  const second = { node_type: 'InkLoader', input: 'ink', folder: 'style_models' }
  await registry.call(registry.owner, 'PUT', '/teams/current', { loader_list: [first, second] })
  await add('OilLoader', 'oil', 'loras')
  await expect(page.getByText('Another admin has changed this table.')).toBeVisible()
  await expect(panel.getByRole('row', { name: 'InkLoader ink style_models' })).toBeVisible()
  expect(await listLoaders()).toEqual([first, second])
  await panel.getByRole('button', { name: 'Add input' }).click()
  await expect(panel.getByRole('row', { name: 'OilLoader oil loras' })).toBeVisible()
  for (const name of ['style of StyleLoader', 'ink of InkLoader', 'oil of OilLoader']) {
    await panel.getByRole('button', { name: `Remove ${name}` }).click()
    await expect(panel.getByRole('button', { name: `Remove ${name}` })).toHaveCount(0)
  }
  expect(await listLoaders()).toEqual([])
})

test('a member who leaves their only team sees that they are not in a team', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/team/settings')
  await page.getByRole('button', { name: 'Leave team' }).click()
  await expect(page.getByRole('dialog', { name: 'Leave the team?' })).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('dialog', { name: 'Leave the team?' }).getByRole('button', { name: 'Leave' }).click()
  await expect(page.getByText('You are no longer a member of “Studio”.')).toBeVisible()
  await expect(page.getByRole('heading', { name: 'You are not in a team' })).toBeVisible()
  await expectAccessible(page)
})

test('another team begins with its list of models, not with the page of a model that it does not have', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/of-one-team.safetensors')
  await createTeam(registry, 'Elsewhere')
  await signIn(registry.owner, `/models/${id}?q=team`)
  await page.getByRole('button', { name: 'Studio' }).click()
  await page.getByRole('menuitem', { name: 'Elsewhere' }).click()
  await expect(page).toHaveURL(/\/models$/)
  await expect(page.getByText('Model not found')).toHaveCount(0)
})

test('the owner transfers the team and becomes an admin', async ({ page, registry, signIn }) => {
  const newOwner = await registry.person('member')
  const team = await createTeam(registry, 'To hand over')
  await join(registry, team, newOwner, 'viewer')
  await signIn(registry.owner, '/models')
  await page.getByRole('button', { name: 'Studio' }).click()
  await page.getByRole('menuitem', { name: 'To hand over' }).click()
  await openTeamView(page, 'Team settings')
  await expect(page.getByLabel('New owner')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Leave team' })).toHaveCount(0)
  await page.getByLabel('New owner').selectOption({ value: (await getCurrentUser(registry, newOwner)).id })
  await page.getByRole('button', { name: 'Transfer team', exact: true }).click()
  await expect(page.getByRole('dialog', { name: 'Transfer the team?' })).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('dialog', { name: 'Transfer the team?' }).getByRole('button', { name: 'Transfer team' }).click()
  await expect(page.getByText('Your role in “To hand over” is now: admin.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Leave team' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Delete team' })).toHaveCount(0)
})

test('the owner deletes a team after typing its name', async ({ page, registry, signIn }) => {
  await createTeam(registry, 'To delete')
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Switch to To delete' }).click()
  await openTeamView(page, 'Team settings')
  await expect(page.getByRole('region', { name: 'Delete' })).toContainText(
    'For 7 days, unless the operator of this registry has set another time',
  )
  await page.getByRole('button', { name: 'Delete team' }).click()
  const dialog = page.getByRole('dialog', { name: 'Delete the team?' })
  await expect(dialog).toBeVisible()
  await expectAccessible(page)
  const button = dialog.getByRole('button', { name: 'Delete' })
  await dialog.getByLabel('Team name').fill('To del')
  await expect(button).toBeDisabled()
  await dialog.getByLabel('Team name').fill('To delete')
  await button.click()
  await expect(page.getByText('You are no longer a member of “To delete”.')).toBeVisible()
  await expect(page.getByRole('banner')).toContainText('Studio')
})

test('a viewer sees only the team views and buttons that they may use', async ({ page, registry, signIn }) => {
  const viewer = await registry.person('viewer')
  await signIn(viewer, '/team/settings')
  const refused: string[] = []
  page.on('response', (answer) => answer.status() === 403 && refused.push(answer.url()))
  const buttonsOfViews: Record<string, string[]> = {
    '/collections': [],
    '/team': [],
    '/team/keys': [],
    '/team/history': [],
    '/team/settings': ['Create team', 'Leave team'],
    '/account': ['Save', '', '', '', 'Change password', 'Sign out here', 'Sign out everywhere', 'Create team'],
  }
  for (const [address, buttons] of Object.entries(buttonsOfViews)) {
    await page.goto(`${registry.url}${address}`)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
    await page.waitForLoadState('networkidle')
    await expect(page.getByRole('main').getByRole('button')).toHaveText(buttons)
  }
  // No view requests data that a viewer may not read.
  expect(refused).toEqual([])
  await expect(page.getByRole('navigation', { name: 'Views' }).getByRole('link')).toHaveText([
    'Models',
    'Machines',
    'Workflows',
    'Collections',
    'Team',
  ])
  await openTeamView(page, 'Keys')
  await expect(page.getByRole('navigation', { name: 'Team' }).getByRole('link')).toHaveText(['Keys', 'Team settings'])
})

test('the team settings are accessible in light and dark and fit wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/team/settings')
  await expect(page.getByRole('region', { name: 'General' })).toBeVisible()
  await page.getByRole('switch', { name: 'Limit the storage of the team' }).click()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
    }
  }
})

test('a team that stores more than its quota reads what frees space, and when', async ({ page, registry, signIn }) => {
  const team = registry.inTeam(await createTeam(registry, 'Full'))
  await registerModel(team, 'loras/too-much.safetensors')
  await team.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: 1 })
  await signIn(registry.owner, '/account')
  await page.getByRole('button', { name: 'Switch to Full' }).click()
  await openTeamView(page, 'Team settings')
  const warning = page.getByRole('region', { name: 'Storage' }).getByRole('status')
  await expect(warning).toContainText(
    'Delete models, or raise the quota. Space is free when the trash is emptied, 7 days',
  )
})
