// The gallery and the page of a model by keyboard: who gets the keys, and where the focus is after something closed.

import type { Page } from '@playwright/test'
import { expect, withRegistry } from './fixtures'
import { ReportingMachine } from './machines'
import { registerModel } from './modelFiles'

const test = withRegistry()

const search = (page: Page) => page.getByRole('combobox', { name: 'Search models' })
const filters = (page: Page) => page.getByRole('complementary', { name: 'Filters' })

test('a facet and "Clear filters" keep their effect right after the search box had the focus', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'loras/quick-a.safetensors')
  await registerModel(registry, 'vae/quick-b.safetensors')
  await signIn(registry.owner, '/models')
  await search(page).fill('quick')
  await expect(page.getByRole('gridcell')).toHaveCount(2)
  await filters(page).getByRole('checkbox', { name: /^VAE/ }).click()
  await expect(page.getByRole('button', { name: 'Remove type: VAE' })).toBeVisible()
  // The pause after typing has passed.
  await page.waitForTimeout(300)
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('type:vae quick')
  await search(page).focus()
  await page.getByRole('button', { name: 'Clear filters' }).click()
  await expect(search(page)).toHaveValue('')
  await page.waitForTimeout(300)
  await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBeNull()
})

test('a qualifier that is being typed takes effect when a facet is chosen', async ({ page, registry, signIn }) => {
  await registerModel(registry, 'loras/open-a.safetensors', { tags: ['open-tag'] })
  await registerModel(registry, 'vae/open-b.safetensors', { tags: ['open-tag'] })
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('gridcell').first()).toBeVisible()
  await search(page).fill('tag:open-tag')
  await filters(page).getByRole('checkbox', { name: /^VAE/ }).click()
  await expect(page.getByRole('button', { name: 'Remove type: VAE' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Remove tag: open-tag' })).toBeVisible()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
})

test('an arrow at the edge of the list does not take the focus later', async ({ page, registry, signIn }) => {
  for (const name of ['edge-a', 'edge-b']) await registerModel(registry, `loras/${name}.safetensors`)
  await signIn(registry.owner, '/models?q=edge&sort=display_name')
  await page.getByRole('link', { name: 'edge-a' }).focus()
  await page.keyboard.press('ArrowLeft')
  await expect(page.getByRole('link', { name: 'edge-a' })).toBeFocused()
  await search(page).focus()
  await search(page).pressSequentially('-b', { delay: 150 })
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(search(page)).toBeFocused()
  await expect(search(page)).toHaveValue('edge-b')
})

test('the button of a card opens and closes its menu, which has its own keys and returns the focus', async ({
  page,
  registry,
  signIn,
}) => {
  for (const name of ['own-a', 'own-b']) await registerModel(registry, `loras/${name}.safetensors`)
  await signIn(registry.owner, '/models?q=own&sort=display_name')
  const card = page.getByRole('gridcell').filter({ hasText: 'own-a' })
  await card.hover()
  const button = card.getByRole('button', { name: 'More actions for own-a' })
  const menu = page.getByRole('menu')
  for (let round = 0; round < 2; round += 1) {
    await button.click()
    await expect(menu).toBeVisible()
    await button.click()
    await expect(menu).toBeHidden()
  }
  await button.press('Enter')
  await expect(menu).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await expect(page.getByRole('menuitem', { name: 'Open page' })).toBeFocused()
  await page.keyboard.press('ArrowDown')
  await expect(page.getByRole('menuitem', { name: 'Copy link' })).toBeFocused()
  await page.keyboard.press('v')
  await page.keyboard.press('Escape')
  await expect(menu).toBeHidden()
  await expect(button).toBeFocused()
  expect(page.url()).not.toContain('view=table')
  await button.press('Enter')
  await page.getByRole('menuitem', { name: 'Open page' }).click()
  await expect(page.getByRole('navigation', { name: 'Place in the list' })).toContainText('1 of 2')
})

test('the menu of a card says why a model could not be disabled', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/refused.safetensors')
  await signIn(registry.owner, '/models?q=refused')
  const card = page.getByRole('gridcell').filter({ hasText: 'refused' })
  await card.hover()
  await card.getByRole('button', { name: 'More actions for refused' }).click()
  // Another user deletes it meanwhile.
  await registry.call(registry.owner, 'DELETE', `/models/${id}`)
  await page.getByRole('menuitem', { name: 'Disable' }).click()
  await expect(page.getByRole('alert').filter({ hasText: 'There is no such model' })).toBeVisible()
})

test('the account button opens and closes its menu, which returns the focus', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/account')
  const button = page.getByRole('button', { name: 'Your account' })
  for (let round = 0; round < 2; round += 1) {
    await button.click()
    await expect(page.getByRole('menu')).toBeVisible()
    await button.click()
    await expect(page.getByRole('menu')).toBeHidden()
  }
  await button.press('Enter')
  await expect(page.getByRole('menu')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(button).toBeFocused()
})

test('dialogs that are loaded when they open return the focus to where it was', async ({ page, registry, signIn }) => {
  await registerModel(registry, 'loras/return.safetensors')
  await ReportingMachine.create(registry, 'return-machine')
  await signIn(registry.owner, '/models?q=return')
  const model = page.getByRole('link', { name: 'return', exact: true })
  await model.focus()
  for (const [key, dialog] of [
    ['Control+k', page.getByRole('dialog', { name: 'Jump to' })],
    ['?', page.getByRole('dialog', { name: 'Keyboard shortcuts' })],
  ] as const) {
    await page.keyboard.press(key)
    await expect(dialog).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(dialog).toBeHidden()
    await expect(model).toBeFocused()
  }
  const send = page.getByRole('button', { name: 'Send return to…' })
  await send.press('Enter')
  await expect(page.getByRole('dialog', { name: /Send “return” to/ })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(send).toBeFocused()
})

test('dialogs of facts return the focus and begin with the value of the record', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/fact.safetensors')
  await signIn(registry.owner, `/models/${id}`)
  for (const [button, title, field] of [
    ['Edit base model', 'Base model', 'Base model'],
    ['Add trigger words', 'Trigger words', 'Trigger words'],
  ] as const) {
    const edit = page.getByRole('button', { name: button })
    const dialog = page.getByRole('dialog', { name: title })
    await edit.click()
    await dialog.getByRole('combobox', { name: field }).fill('typed')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await expect(dialog).toBeHidden()
    await expect(edit).toBeFocused()
    await edit.click()
    await expect(dialog.getByRole('combobox', { name: field })).toHaveValue('')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
  }
})

test('[ and ] step through the list with AltGr too, and not in dialogs or when such keys are off', async ({
  page,
  registry,
  signIn,
}) => {
  for (const name of ['alt-a', 'alt-b']) await registerModel(registry, `vae/${name}.safetensors`)
  await signIn(registry.owner, '/models?q=alt&sort=display_name')
  await page.getByRole('link', { name: 'alt-a' }).click()
  await page.getByRole('dialog').getByRole('link', { name: 'Open page' }).click()
  const title = (name: string) => page.getByRole('heading', { level: 1, name })
  await expect(page.getByRole('button', { name: 'Edit base model' })).toBeVisible()
  await page.getByRole('button', { name: 'Edit base model' }).click()
  const dialog = page.getByRole('dialog', { name: 'Base model' })
  await dialog.getByRole('button', { name: 'Cancel' }).press(']')
  await expect(dialog).toBeVisible()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await expect(dialog).toBeHidden()
  await expect(title('alt-a')).toBeVisible()
  const article = page.getByRole('article', { name: 'Model' })
  // As Option+6 on a German Macintosh, and AltGr+9 on a German Windows.
  await article.dispatchEvent('keydown', { key: ']', altKey: true })
  await expect(title('alt-b')).toBeVisible()
  await article.dispatchEvent('keydown', { key: '[', altKey: true, ctrlKey: true })
  await expect(title('alt-a')).toBeVisible()
  await page.evaluate(() => localStorage.setItem('modelyard.character-keys', 'off'))
  await article.press(']')
  await expect(title('alt-a')).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: '1 of 2' })).toBeVisible()
})
