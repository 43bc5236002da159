import { createEmail, createInvitation, getCurrentUser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'

const test = withRegistry()

test('the history describes actions as sentences, newest first', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const member = await registry.person('member')
  const { id, display_name } = await getCurrentUser(registry, member)
  const model = await registerModel(registry, 'loras/told.safetensors', { by: member })
  const change = (facts: object) => registry.call(admin, 'PUT', `/models/${model.id}`, facts)
  await change({ description: 'lines of ink' })
  await change({ model_path: 'loras/moved.safetensors' })
  await change({ model_status: 'disabled' })
  await registry.call(admin, 'DELETE', `/models/${model.id}`)
  await registry.call(admin, 'PUT', `/members/${id}`, { member_role: 'viewer' })
  await registry.call(admin, 'DELETE', `/members/${id}`)
  await createInvitation(registry, 'told@studio.test', 'viewer', admin)
  const key = await registry.call<{ id: string }>(admin, 'POST', '/credentials', {
    kind: 'agent',
    display_name: 'farm',
  })
  await registry.call(admin, 'DELETE', `/credentials/${key.id}`)

  await signIn(registry.owner, '/team/history')
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  const sentences = [
    'revoked the agent key farm',
    'created the agent key farm',
    'invited told@studio.test as viewer',
    `removed ${display_name} from the team`,
    `changed the role of ${display_name} to viewer (was member)`,
    'moved loras/moved.safetensors to the trash',
    'disabled loras/moved.safetensors',
    'changed loras/told.safetensors: model path: loras/moved.safetensors',
    'changed loras/told.safetensors: description: lines of ink',
  ]
  for (const [place, sentence] of sentences.entries()) await expect(events.nth(place)).toContainText(sentence)
  await expect(events.filter({ hasText: 'registered loras/told.safetensors' })).toHaveCount(1)
})

test('history filters are kept in the URL, and a row links to its model', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await createInvitation(registry, createEmail(), 'viewer', admin)
  const model = await registerModel(registry, 'loras/filtered.safetensors')
  await signIn(registry.owner, '/team/history')
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  await page.getByLabel('What').selectOption('invitation.created')
  await expect(page).toHaveURL(/action=invitation\.created/)
  await expect(events.filter({ hasText: 'invited' }).first()).toBeVisible()
  await expect(events.filter({ hasNotText: 'invited' })).toHaveCount(0)
  await page.getByLabel('Who').selectOption({ value: (await getCurrentUser(registry, admin)).id })
  await expect(events).toHaveCount(1)
  await page.goBack()
  await expect(events.nth(1)).toBeVisible()

  await page.goto(`${registry.url}/team/history?action=model.registered&object_id=${model.id}`)
  await expect(events).toHaveCount(1)
  await expect(events.getByRole('link', { name: 'loras/filtered.safetensors', exact: true })).toHaveAttribute(
    'href',
    `/models?model=${model.id}`,
  )
  await page.getByRole('button', { name: 'Clear filters' }).click()
  await expect(page).toHaveURL(`${registry.url}/team/history`)
  await expect(events.nth(1)).toBeVisible()
})

test('the history date filter uses the days of the local time zone and includes the last day', async ({
  page,
  registry,
  signIn,
}) => {
  await createInvitation(registry, createEmail())
  const now = new Date()
  const day = (later: number) =>
    new Date(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate() + later)).toISOString().slice(0, 10)
  await signIn(registry.owner, `/team/history?since=${day(0)}&until=${day(0)}`)
  await expect(page.getByRole('listitem').filter({ hasText: 'invited' })).not.toHaveCount(0)
  await page.getByLabel('From', { exact: true }).fill(day(1))
  await page.getByLabel('To', { exact: true }).fill(day(1))
  await expect(page.getByRole('heading', { name: 'No events match' })).toBeVisible()
  await page.goto(`${registry.url}/team/history?since=yesterday`)
  await expect(page.getByRole('alert')).toContainText('since')
})

test('the button for older events loads each of them once', async ({ page, registry, signIn }) => {
  const model = await registerModel(registry, 'loras/often.safetensors')
  for (let round = 0; round < 60; round += 1) {
    await registry.call(registry.owner, 'PUT', `/models/${model.id}`, { description: `round ${round}` })
  }
  await signIn(registry.owner, `/team/history?object_id=${model.id}`)
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  await expect(events).toHaveCount(50)
  await page.getByRole('button', { name: 'Show older events' }).click()
  await expect(events.last()).toContainText('registered loras/often.safetensors')
  const message = await events.allTextContents()
  expect(new Set(message.filter((text) => text.includes('round'))).size).toBe(60)
  await expect(page.getByRole('button', { name: 'Show older events' })).toHaveCount(0)
})

test('an unknown action is shown by its technical name', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  await page.route('**/api/v1/audit-events*', async (route) => {
    const answer = await route.fetch()
    const body = await answer.text()
    await route.fulfill({ response: answer, body: body.replaceAll('"team.created"', '"team.frobbed"') })
  })
  await page.goto(`${registry.url}/team/history?action=team.created`)
  await expect(page.getByRole('listitem').filter({ hasText: 'team.frobbed:' })).toContainText('display name: Studio')
})

test('a member who opens the history sees that only admins can see it', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/team/history')
  await expect(page.getByRole('heading', { name: 'Only admins can see the history' })).toBeVisible()
})

test('the history is accessible in light and dark and fits wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'loras/seen.safetensors')
  await signIn(registry.owner, '/team/history')
  await expect(page.getByRole('listitem').filter({ hasText: 'seen' })).not.toHaveCount(0)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
    }
  }
})
