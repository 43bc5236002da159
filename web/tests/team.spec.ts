import { createEmail, createInvitation, getCurrentUser, HOSTILE, openPageInOtherBrowser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import type { Registry } from './registry'

const test = withRegistry()

test('an admin changes the role of a member and undoes it', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const member = await registry.person('member', 'member')
  const { id, display_name } = await getCurrentUser(registry, member)
  await signIn(admin, '/team')
  const row = page.getByRole('row', { name: member.email })
  await row.getByLabel(`Role of ${display_name}`).selectOption('viewer')
  const roleNow = async () => {
    const { member_list } = await registry.call<{ member_list: { user_id: string; member_role: string }[] }>(
      registry.owner,
      'GET',
      '/members?per_page=100',
    )
    return member_list.find((one) => one.user_id === id)?.member_role
  }
  await expect.poll(roleNow).toBe('viewer')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(roleNow).toBe('member')
  await expect(row.getByLabel(`Role of ${display_name}`)).toHaveValue('member')
})

test('the member list stays visible with a notice when it cannot be reloaded', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  const { display_name } = await getCurrentUser(registry, member)
  await signIn(registry.owner, '/team')
  const row = page.getByRole('row', { name: member.email })
  await expect(row).toBeVisible()
  await page.route('**/api/v1/members?*', (route) => route.abort())
  await row.getByLabel(`Role of ${display_name}`).selectOption('viewer')
  const notice = page.getByText('The registry does not answer. The data may be out of date.')
  await expect(notice).toBeVisible()
  await expect(row).toBeVisible()
  await expectAccessible(page)
  await page.unroute('**/api/v1/members?*')
  await page.getByRole('button', { name: 'Retry' }).click()
  await expect(notice).toHaveCount(0)
  await expect(row.getByLabel(`Role of ${display_name}`)).toHaveValue('viewer')
})

test('an admin cannot change their own role or that of the owner', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team')
  for (const email of [admin.email, registry.owner.email]) {
    const row = page.getByRole('row', { name: email })
    await expect(row).toBeVisible()
    await expect(row.getByRole('combobox')).toHaveCount(0)
    await expect(row.getByRole('button')).toHaveCount(0)
  }
})

test('a removed member is told at their next navigation', async ({ page, browser, registry, signIn, pageErrors }) => {
  const member = await registry.person('member')
  const { display_name } = await getCurrentUser(registry, member)
  const other = await openPageInOtherBrowser(browser, pageErrors)
  await signIn(member, '/team/settings', other)
  await expect(other.getByRole('button', { name: 'Leave team' })).toBeVisible()

  await signIn(registry.owner, '/team')
  const row = page.getByRole('row', { name: member.email })
  await row.getByRole('button', { name: `Remove ${display_name}` }).click()
  const question = page.getByRole('dialog', { name: 'Remove from the team?' })
  await expect(question).toContainText('machines that they paired end too')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Remove' }).click()
  await expect(row).toHaveCount(0)

  await other.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Team' }).click()
  await expect(other.getByText('You are no longer a member of “Studio”.')).toBeVisible()
  await expect(other.getByRole('heading', { name: 'You are not in a team' })).toBeVisible()
  await other.getByRole('link', { name: 'your account' }).click()
  await expect(other.getByText(member.email)).toBeVisible()
  await other.context().close()
})

test('removing an admin who created keys asks whether to transfer them', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const { id, display_name } = await getCurrentUser(registry, admin)
  const created = await registry.call<{ raw_key: string }>(admin, 'POST', '/credentials', {
    kind: 'integration',
    display_name: 'nightly of an admin',
  })
  const status = async () =>
    (await fetch(`${registry.url}/api/v1/models`, { headers: { Authorization: `Bearer ${created.raw_key}` } })).status
  await signIn(registry.owner, '/team')
  const row = page.getByRole('row', { name: admin.email })
  const question = page.getByRole('dialog', { name: 'Keys would stop working' })

  await row.getByLabel(`Role of ${display_name}`).selectOption('viewer')
  await expect(question).toContainText('nightly of an admin')
  await expect(question).toContainText('may still know their secrets')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Cancel' }).click()
  await expect(row.getByLabel(`Role of ${display_name}`)).toHaveValue('admin')

  await row.getByRole('button', { name: `Remove ${display_name}` }).click()
  await page.getByRole('dialog', { name: 'Remove from the team?' }).getByRole('button', { name: 'Remove' }).click()
  await expect(question).toBeVisible()
  await question.getByLabel('New responsible admin').selectOption({ label: await ownerLabel(registry) })
  await question.getByRole('button', { name: 'Transfer keys and continue' }).click()
  await expect(row).toHaveCount(0)
  await expect(page.getByText('Rotate them under Keys.')).toBeVisible()
  expect(await status()).toBe(200)
  const { credentials } = await registry.call<{ credentials: { display_name: string; user_id: string }[] }>(
    registry.owner,
    'GET',
    '/credentials?per_page=100',
  )
  expect(credentials.find((key) => key.display_name === 'nightly of an admin')?.user_id).not.toBe(id)
})

test('an admin who leaves can revoke the keys that they created', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const created = await registry.call<{ raw_key: string }>(admin, 'POST', '/credentials', {
    kind: 'agent',
    display_name: 'farm of a leaver',
  })
  await signIn(admin, '/team/settings')
  await page.getByRole('button', { name: 'Leave team' }).click()
  await page.getByRole('dialog', { name: 'Leave the team?' }).getByRole('button', { name: 'Leave' }).click()
  const question = page.getByRole('dialog', { name: 'Keys would stop working' })
  await question.getByLabel('Revoke them').check()
  await question.getByRole('button', { name: 'Revoke keys and continue' }).click()
  await expect(page.getByRole('heading', { name: 'You are not in a team' })).toBeVisible()
  const answer = await fetch(`${registry.url}/api/v1/agent/manifest?agent_id=x`, {
    headers: { Authorization: `Bearer ${created.raw_key}` },
  })
  expect(answer.status).toBe(401)
})

async function ownerLabel(registry: Registry): Promise<string> {
  const { display_name } = await getCurrentUser(registry, registry.owner)
  return `${display_name} (${registry.owner.email})`
}

test('a user whose role changed is told and sees only what the new role allows', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team')
  await expect(page.getByRole('button', { name: 'Invite' })).toBeVisible()
  const { id } = await getCurrentUser(registry, admin)
  await registry.call(registry.owner, 'PUT', `/members/${id}`, { member_role: 'viewer' })
  await page.getByRole('navigation', { name: 'Team' }).getByRole('link', { name: 'History' }).click()
  await expect(page.getByText('Your role in “Studio” is now: viewer.')).toBeVisible()
  await expect(page.getByRole('link', { name: 'History' })).toHaveCount(0)
  await expect(page.getByRole('heading', { name: 'Only admins can see the history' })).toBeVisible()
})

test('an invitation has the public address of the registry, without a warning', async ({ page, registry, signIn }) => {
  const public_url = 'https://models.example.com'
  // As a registry with MODELYARD_PUBLIC_URL answers.
  await page.route(/\/api\/v1\/invitations$/, async (route) => {
    const response = await route.fetch()
    const answer = (await response.json()) as object
    await route.fulfill({ response, json: route.request().method() === 'POST' ? { ...answer, public_url } : answer })
  })
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  const dialog = page.getByRole('dialog', { name: 'Invite a person' })
  await dialog.getByLabel('E-mail').fill(createEmail())
  await dialog.getByRole('button', { name: 'Create link' }).click()
  await expect(dialog.getByRole('group', { name: 'Link' })).toContainText(`${public_url}/join#in-`)
  await expect(dialog.getByRole('group', { name: 'Command' })).toContainText(`modelyard --url ${public_url} invite`)
  await expect(dialog.getByRole('status')).toHaveCount(0)
})

test('an invitation shows a link and a command, and is listed until it is withdrawn', async ({
  page,
  registry,
  signIn,
}) => {
  const email = createEmail()
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  const dialog = page.getByRole('dialog', { name: 'Invite a person' })
  await expect(dialog).toBeVisible()
  await expectAccessible(page)
  await dialog.getByLabel('E-mail').fill(email)
  await dialog.getByLabel('Viewer').check()
  await dialog.getByRole('button', { name: 'Create link' }).click()
  const link = dialog.getByRole('group', { name: 'Link' })
  await expect(link).toContainText(`${registry.url}/join#in-`)
  await expect(dialog.getByRole('group', { name: 'Command' })).toContainText(
    `modelyard --url ${registry.url} invite accept in-`,
  )
  // The registry of the tests listens on a loopback address, and has no other.
  await expect(dialog.getByRole('status')).toContainText('This link works only on this computer.')
  await expect(dialog.getByRole('status')).toContainText('MODELYARD_PUBLIC_URL')
  // It says so for a moment only, so each frame is looked at.
  const copied = page.waitForFunction(() => document.querySelector('[role=dialog] [aria-label="Copied"]') !== null)
  await link.getByRole('button', { name: 'Copy Link' }).click()
  await copied
  await page.mouse.move(0, 0)
  await expect(page.getByRole('tooltip')).toHaveCount(0)
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Done' }).click()

  const row = page.getByRole('table', { name: 'Open invitations' }).getByRole('row', { name: email })
  await expect(row).toContainText('viewer')
  await row.getByRole('button', { name: `Withdraw the invitation of ${email}` }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Withdraw' }).click()
  await expect(row).toHaveCount(0)
})

test('inviting an invited address or a member is refused at the e-mail field', async ({ page, registry, signIn }) => {
  const email = createEmail()
  await createInvitation(registry, email)
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  const dialog = page.getByRole('dialog')
  const refused = {
    [email]: 'An open invitation for this address exists',
    [registry.owner.email]: 'a member of the team already',
  }
  for (const [address, words] of Object.entries(refused)) {
    await dialog.getByLabel('E-mail').fill(address)
    await dialog.getByRole('button', { name: 'Create link' }).click()
    await expect(dialog.getByRole('textbox', { name: 'E-mail' })).toHaveAccessibleDescription(new RegExp(words))
  }
  await expect(page.getByText('Already invited')).toHaveCount(0)
})

test('the member search finds one of many members', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team')
  await expect(page.getByRole('table', { name: 'Members' })).toBeVisible()
  while (
    (await registry.call<{ page_meta: { total_count: number } }>(registry.owner, 'GET', '/members')).page_meta
      .total_count < 12
  ) {
    await registry.person('viewer', 'crowd')
  }
  const sought = await registry.person('member', 'sought')
  await page.reload()
  await page.getByRole('searchbox', { name: 'Search members' }).fill('SOUGHT tester')
  const rows = page.getByRole('table', { name: 'Members' }).getByRole('row')
  await expect(rows).toHaveCount(2)
  await expect(rows.last()).toContainText(sought.email)
})

test('hostile member names run no script and fit the layout', async ({ page, registry, signIn }) => {
  for (const name of HOSTILE) {
    const invitation_token = await createInvitation(registry, createEmail(), 'viewer')
    const answer = await fetch(`${registry.url}/api/v1/invitations/accept`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ invitation_token, first_name: name, last_name: name, user_password: 'a long sentence' }),
    })
    expect(answer.status).toBe(200)
  }
  await signIn(registry.owner, '/team')
  for (const address of ['/team', '/team/history', '/team/settings']) {
    await page.goto(`${registry.url}${address}`)
    await expect(page.getByText(HOSTILE[0] ?? '').first()).toBeAttached()
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 })
      await expectNoHorizontalScroll(page, `${address} at ${width}`)
    }
  }
})

test('the member list is accessible in light and dark and fits wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await createInvitation(registry, createEmail())
  await signIn(registry.owner, '/team')
  await expect(page.getByRole('table', { name: 'Open invitations' })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
    }
  }
})
