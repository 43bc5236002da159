import { registered } from './files'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { freshEmail, invited, whoIs } from './people'

const test = withRegistry()

test('what people did is told in sentences, newest first', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  const member = await registry.person('member')
  const { id, display_name } = await whoIs(registry, member)
  const model = await registered(registry, 'loras/told.safetensors', { by: member })
  const change = (facts: object) => registry.call(admin, 'PUT', `/models/${model.id}`, facts)
  await change({ description: 'lines of ink' })
  await change({ model_path: 'loras/moved.safetensors' })
  await change({ model_status: 'disabled' })
  await registry.call(admin, 'DELETE', `/models/${model.id}`)
  await registry.call(admin, 'PUT', `/members/${id}`, { member_role: 'viewer' })
  await registry.call(admin, 'DELETE', `/members/${id}`)
  await invited(registry, 'told@studio.test', 'viewer', admin)
  const key = await registry.call<{ id: string }>(admin, 'POST', '/credentials', {
    kind: 'agent',
    display_name: 'farm',
  })
  await registry.call(admin, 'DELETE', `/credentials/${key.id}`)

  await signIn(registry.owner, '/team/history')
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  const sentences = [
    'revoked the agent key farm',
    'made the agent key farm',
    'invited told@studio.test as viewer',
    `removed ${display_name} from the team`,
    `made ${display_name} viewer (was member)`,
    'moved loras/moved.safetensors to the trash',
    'disabled loras/moved.safetensors',
    'changed loras/told.safetensors: model path: loras/moved.safetensors',
    'changed loras/told.safetensors: description: lines of ink',
  ]
  for (const [place, sentence] of sentences.entries()) await expect(events.nth(place)).toContainText(sentence)
  await expect(events.filter({ hasText: 'registered loras/told.safetensors' })).toHaveCount(1)
})

test('filters are in the address, and rows lead to more of the same', async ({ page, registry, signIn }) => {
  const admin = await registry.person('admin')
  await invited(registry, freshEmail(), 'viewer', admin)
  const model = await registered(registry, 'loras/filtered.safetensors')
  await signIn(registry.owner, '/team/history')
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  await page.getByLabel('What').selectOption('invitation.created')
  await expect(page).toHaveURL(/action=invitation\.created/)
  await expect(events.filter({ hasText: 'invited' }).first()).toBeVisible()
  await expect(events.filter({ hasNotText: 'invited' })).toHaveCount(0)
  await page.getByLabel('Who').selectOption({ value: (await whoIs(registry, admin)).id })
  await expect(events).toHaveCount(1)
  await page.goBack()
  await expect(events.nth(1)).toBeVisible()

  await page.goto(`${registry.url}/team/history?action=model.registered&object_id=${model.id}`)
  await expect(events).toHaveCount(1)
  await expect(events.getByRole('link', { name: 'loras/filtered.safetensors', exact: true })).toHaveAttribute(
    'href',
    `/models?model=${model.id}`,
  )
  await page.getByRole('button', { name: 'Show everything' }).click()
  await expect(page).toHaveURL(`${registry.url}/team/history`)
  await expect(events.nth(1)).toBeVisible()
})

test('days are those of the reader, the last one included', async ({ page, registry, signIn }) => {
  await invited(registry, freshEmail())
  const now = new Date()
  const day = (later: number) =>
    new Date(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate() + later)).toISOString().slice(0, 10)
  await signIn(registry.owner, `/team/history?since=${day(0)}&until=${day(0)}`)
  await expect(page.getByRole('listitem').filter({ hasText: 'invited' })).not.toHaveCount(0)
  await page.getByLabel('From').fill(day(1))
  await page.getByLabel('To', { exact: true }).fill(day(1))
  await expect(page.getByRole('heading', { name: 'Nothing happened' })).toBeVisible()
  await page.goto(`${registry.url}/team/history?since=yesterday`)
  await expect(page.getByRole('alert')).toContainText('since')
})

test('older events come when they are asked for, each once', async ({ page, registry, signIn }) => {
  const model = await registered(registry, 'loras/often.safetensors')
  for (let round = 0; round < 60; round += 1) {
    await registry.call(registry.owner, 'PUT', `/models/${model.id}`, { description: `round ${round}` })
  }
  await signIn(registry.owner, `/team/history?object_id=${model.id}`)
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem')
  await expect(events).toHaveCount(50)
  await page.getByRole('button', { name: 'Show older ones' }).click()
  await expect(events.last()).toContainText('registered loras/often.safetensors')
  const told = await events.allTextContents()
  expect(new Set(told.filter((text) => text.includes('round'))).size).toBe(60)
  await expect(page.getByRole('button', { name: 'Show older ones' })).toHaveCount(0)
})

test('an action that the page does not know is told as it is written down', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  await page.route('**/api/v1/audit-events*', async (route) => {
    const answer = await route.fetch()
    const body = await answer.text()
    await route.fulfill({ response: answer, body: body.replaceAll('"team.created"', '"team.frobbed"') })
  })
  await page.goto(`${registry.url}/team/history?action=team.created`)
  await expect(page.getByRole('listitem').filter({ hasText: 'team.frobbed:' })).toContainText('display name: Studio')
})

test('only admins see the history', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('member'), '/team/history')
  await expect(page.getByRole('heading', { name: 'Only admins see the history' })).toBeVisible()
})

test('the history is accessible, in light and dark, wide and narrow', async ({ page, registry, signIn }) => {
  await registered(registry, 'loras/seen.safetensors')
  await signIn(registry.owner, '/team/history')
  await expect(page.getByRole('listitem').filter({ hasText: 'seen' })).not.toHaveCount(0)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
    }
  }
})
