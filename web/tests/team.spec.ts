import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { freshEmail, HOSTILE, invited, otherPage, whoIs } from './people'

const test = withRegistry()

test('an admin changes the role of a member, and takes it back', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const member = await registry.person('member', 'member')
  const { id, display_name } = await whoIs(registry, member)
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

test('a list that cannot be asked for again stays, and says that it may be old', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  const { display_name } = await whoIs(registry, member)
  await signIn(registry.owner, '/team')
  const row = page.getByRole('row', { name: member.email })
  await expect(row).toBeVisible()
  await page.route('**/api/v1/members?*', (route) => route.abort())
  await row.getByLabel(`Role of ${display_name}`).selectOption('viewer')
  const notice = page.getByText('The registry does not answer. What is shown may be old.')
  await expect(notice).toBeVisible()
  await expect(row).toBeVisible()
  await expectAccessible(page)
  await page.unroute('**/api/v1/members?*')
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect(notice).toHaveCount(0)
  await expect(row.getByLabel(`Role of ${display_name}`)).toHaveValue('viewer')
})

test('nobody changes their own role or that of the owner here', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team')
  for (const email of [admin.email, registry.owner.email]) {
    const row = page.getByRole('row', { name: email })
    await expect(row).toBeVisible()
    await expect(row.getByRole('combobox')).toHaveCount(0)
    await expect(row.getByRole('button')).toHaveCount(0)
  }
})

test('who was removed is told at their next step', async ({ page, browser, registry, signIn, mishaps }) => {
  const member = await registry.person('member')
  const { display_name } = await whoIs(registry, member)
  const other = await otherPage(browser, mishaps)
  await signIn(member, '/team/settings', other)
  await expect(other.getByRole('button', { name: 'Leave the team' })).toBeVisible()

  await signIn(registry.owner, '/team')
  const row = page.getByRole('row', { name: member.email })
  await row.getByRole('button', { name: `Remove ${display_name}` }).click()
  const question = page.getByRole('dialog', { name: 'Remove from the team?' })
  await expect(question).toContainText('device keys end too')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Remove' }).click()
  await expect(row).toHaveCount(0)

  await other.getByRole('link', { name: 'Keys' }).click()
  await expect(other.getByText('You are no longer in “Studio”.')).toBeVisible()
  await expect(other.getByRole('heading', { name: 'You are in no team' })).toBeVisible()
  await other.getByRole('link', { name: 'your account' }).click()
  await expect(other.getByText(member.email)).toBeVisible()
  await other.context().close()
})

test('whose role changed is told, and sees the buttons of the new one', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await signIn(admin, '/team')
  await expect(page.getByRole('button', { name: 'Invite' })).toBeVisible()
  const { id } = await whoIs(registry, admin)
  await registry.call(registry.owner, 'PUT', `/members/${id}`, { member_role: 'viewer' })
  await page.getByRole('link', { name: 'History' }).click()
  await expect(page.getByText('Your role in “Studio” is now: viewer.')).toBeVisible()
  await expect(page.getByRole('link', { name: 'History' })).toHaveCount(0)
  await expect(page.getByRole('heading', { name: 'Only admins see the history' })).toBeVisible()
})

test('an invitation is a link to hand over, listed until it is withdrawn', async ({ page, registry, signIn }) => {
  const email = freshEmail()
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  const dialog = page.getByRole('dialog', { name: 'Invite somebody' })
  await expect(dialog).toBeVisible()
  await expectAccessible(page)
  await dialog.getByLabel('E-mail').fill(email)
  await dialog.getByLabel('Viewer').check()
  await dialog.getByRole('button', { name: 'Make the link' }).click()
  const link = dialog.getByRole('group', { name: 'Link' })
  await expect(link).toContainText(`${registry.url}/join#in-`)
  await expect(dialog.getByRole('group', { name: 'Command' })).toContainText(
    `modelyard --url ${registry.url} invite accept in-`,
  )
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

test('an invitation that cannot be is refused at the address', async ({ page, registry, signIn }) => {
  const email = freshEmail()
  await invited(registry, email)
  await signIn(registry.owner, '/team')
  await page.getByRole('button', { name: 'Invite' }).click()
  const dialog = page.getByRole('dialog')
  const refused = { [email]: 'An open invitation for this address exists', [registry.owner.email]: 'a member already' }
  for (const [address, words] of Object.entries(refused)) {
    await dialog.getByLabel('E-mail').fill(address)
    await dialog.getByRole('button', { name: 'Make the link' }).click()
    await expect(dialog.getByRole('textbox', { name: 'E-mail' })).toHaveAccessibleDescription(new RegExp(words))
  }
  await expect(page.getByText('Already invited')).toHaveCount(0)
})

test('many members are searched and shown in parts', async ({ page, registry, signIn }) => {
  test.slow()
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

test('names that mean harm are only names', async ({ page, registry, signIn }) => {
  for (const name of HOSTILE) {
    const invitation_token = await invited(registry, freshEmail(), 'viewer')
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
      await expectNarrow(page, `${address} at ${width}`)
    }
  }
})

test('the members are accessible, in light and dark, wide and narrow', async ({ page, registry, signIn }) => {
  await invited(registry, freshEmail())
  await signIn(registry.owner, '/team')
  await expect(page.getByRole('table', { name: 'Open invitations' })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
    }
  }
})
