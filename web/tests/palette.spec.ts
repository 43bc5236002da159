// The palette: models, machines, people and actions in one field.

import { expect, expectAccessible, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { Machine } from './reportingMachine'

const test = withRegistry()

const FIELD = { name: 'Jump to a model, machine, person or action' }

test('Ctrl-K jumps to a model, a machine, a person and an action', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/jump_inkwash.safetensors')
  await Machine.create(registry, 'jump-render-07')
  await registry.person('member', 'Jumpy')
  await signIn(registry.owner, '/account')
  await page.keyboard.press('Control+k')
  const field = page.getByRole('combobox', FIELD)
  await expect(field).toBeFocused()
  await field.fill('jump')
  for (const name of ['jump_inkwash', 'jump-render-07', 'Jumpy Tester']) {
    await expect(page.getByRole('option', { name })).toBeVisible()
  }
  await expectAccessible(page)
  await field.press('Enter')
  await expect(page).toHaveURL(new RegExp(`/models/${id}$`))

  await page.keyboard.press('Control+k')
  await field.fill('jump-render')
  await page.getByRole('option', { name: 'jump-render-07' }).click()
  await expect(page).toHaveURL(/\/machines\?machine=jump-render-07$/)
  await expect(page.getByRole('dialog', { name: 'jump-render-07' })).toBeVisible()
  await page.keyboard.press('Escape')

  await page.keyboard.press('Control+k')
  await field.fill('jumpy test')
  await page.getByRole('option', { name: 'Jumpy Tester' }).click()
  await expect(page.getByRole('button', { name: 'Remove by: Jumpy Tester' })).toBeVisible()

  await page.keyboard.press('Control+k')
  await field.fill('quota')
  await field.press('Enter')
  await expect(page.getByRole('heading', { name: 'Team settings' })).toBeVisible()
})

test('the palette offers a viewer no actions and people that they may not see', async ({ page, registry, signIn }) => {
  const viewer = await registry.person('viewer')
  await signIn(viewer, '/models')
  await page.getByRole('button', { name: 'Jump to…' }).click()
  await expect(page.getByRole('option', { name: 'Your account' })).toBeVisible()
  await expect(page.getByRole('option', { name: 'Upload models' })).toHaveCount(0)
  await expect(page.getByRole('option', { name: 'Invite people' })).toHaveCount(0)
  await page.keyboard.press('Escape')
  await expect(page.getByRole('combobox', FIELD)).toBeHidden()
  await page.setViewportSize({ width: 380, height: 800 })
  await page.getByRole('button', { name: 'Jump to…' }).click()
  await expect(page.getByRole('combobox', FIELD)).toBeFocused()
  await expectAccessible(page)
})

test('a click after Ctrl-V jumps in the same tab, and a held Ctrl-K opens the palette once', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/jump_pasted.safetensors')
  await signIn(registry.owner, '/account')
  await page.keyboard.down('Control')
  await page.keyboard.down('k')
  await page.keyboard.down('k')
  await page.keyboard.up('k')
  await page.keyboard.up('Control')
  const field = page.getByRole('combobox', FIELD)
  await expect(field).toBeFocused()
  await field.fill('jump_pasted')
  await field.press('Control+v')
  await page.getByRole('option', { name: 'jump_pasted' }).click()
  await expect(page).toHaveURL(new RegExp(`/models/${id}$`))
  expect(page.context().pages()).toHaveLength(1)
})

test('the palette begins with what was opened last, and leaves out what no longer exists', async ({
  page,
  registry,
  signIn,
}) => {
  const team = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name: 'Recent' })
  const inTeam = registry.inTeam(team.id)
  const ids: string[] = []
  for (const name of ['recent_a', 'recent_b', 'recent_gone']) {
    ids.push((await registerModel(inTeam, `loras/${name}.safetensors`)).id)
  }
  await Machine.create(inTeam, 'recent-render')
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
  await signIn(registry.owner, '/account')
  const field = page.getByRole('combobox', FIELD)
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('group', { name: 'Newest models' }).getByRole('option')).toHaveCount(3)
  await expect(page.getByRole('group', { name: 'Recent' })).toHaveCount(0)
  await field.press('Escape')
  for (const address of [
    `/models/${ids[2]}`,
    '/machines?machine=recent-render',
    `/models?model=${ids[0]}`,
    '/models/00000000-0000-7000-8000-000000000000',
  ]) {
    await page.goto(`${registry.url}${address}`)
    await expect(page.getByText(/^(recent_a|recent_gone|recent-render|Model not found)$/).first()).toBeVisible()
  }
  await registry.inTeam(team.id).call(registry.owner, 'DELETE', `/models/${ids[2]}`)
  await page.goto(`${registry.url}/account`)
  await expect(page.getByRole('heading', { name: 'Account', level: 1 })).toBeVisible()
  await page.keyboard.press('Control+k')
  const recent = page.getByRole('group', { name: 'Recent' }).getByRole('option')
  await expect(recent).toHaveText([/recent_a/, /recent-render/])
  await expect(page.getByRole('group', { name: 'Newest models' }).getByRole('option')).toHaveText([/recent_b/])
  await expectAccessible(page)
  await field.fill('recent')
  await expect(page.getByRole('group', { name: 'Recent' })).toHaveCount(0)
  await field.fill('')
  await expect(recent).toHaveCount(2)
  await field.press('Enter')
  await expect(page).toHaveURL(new RegExp(`/models/${ids[0]}$`))
})

test('Enter opens what was opened last, also if another entry is loaded first', async ({ page, registry, signIn }) => {
  const early = await registerModel(registry, 'loras/order_early.safetensors')
  const late = await registerModel(registry, 'loras/order_late.safetensors')
  const machine = await Machine.create(registry, 'order-render')
  await signIn(registry.owner, `/machines?machine=order-render`)
  await expect(page.getByRole('dialog', { name: 'order-render' })).toBeVisible()
  for (const [id, name] of [
    [early.id, 'order_early'],
    [late.id, 'order_late'],
  ] as const) {
    await page.goto(`${registry.url}/models/${id}`)
    await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
  }
  await machine.remove()
  await page.goto(`${registry.url}/account`)
  await expect(page.getByRole('heading', { name: 'Account', level: 1 })).toBeVisible()
  await page.route(`**/api/v1/models/${late.id}`, async (route) => {
    await new Promise((passed) => setTimeout(passed, 1_500))
    await route.continue()
  })
  await page.keyboard.press('Control+k')
  const recent = page.getByRole('group', { name: 'Recent' }).getByRole('option')
  await expect(page.getByRole('option').first()).toBeVisible()
  await expect(recent).toHaveText([/order_late/, /order_early/], { timeout: 1 })
  // A machine that was removed is removed from the list as well.
  await expect
    .poll(() => page.evaluate(() => Object.values(localStorage).some((text) => text.includes('order-render'))))
    .toBe(false)
  await page.getByRole('combobox', FIELD).press('Enter')
  await expect(page).toHaveURL(new RegExp(`/models/${late.id}$`))
})

test('the palette works with a list that is damaged, or where storage is full', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/jump_full.safetensors')
  await page.addInitScript(() => {
    const write = Storage.prototype.setItem
    Storage.prototype.setItem = function (name, text) {
      if (name.startsWith('modelyard.opened')) throw new DOMException('full', 'QuotaExceededError')
      write.call(this, name, text)
    }
    const read = Storage.prototype.getItem
    Storage.prototype.getItem = function (name) {
      return name.startsWith('modelyard.opened') ? '[{"kind":"model"},7,null,{' : read.call(this, name)
    }
  })
  await signIn(registry.owner, `/models/${id}`)
  await expect(page.getByRole('heading', { name: 'jump_full' })).toBeVisible()
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('option', { name: 'jump_full' })).toBeVisible()
})
