// The picture of a model on its page: chosen, dropped, pasted, replaced and removed.

import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { buildPng, writePng } from './pictures'
import type { Registry } from './registry'
import { drop, writeModelFile } from './uploadActions'

const test = withRegistry()

const RED: [number, number, number] = [200, 40, 40]
const BLUE: [number, number, number] = [40, 40, 200]

interface Shown {
  preview_url: string | null
  preview_color: string | null
}

const read = (registry: Registry, id: string) => registry.call<Shown>(registry.owner, 'GET', `/models/${id}`)

async function getColour(registry: Registry, id: string): Promise<string> {
  const { preview_color } = await read(registry, id)
  return preview_color ?? 'none'
}

function getPanel(page: Page) {
  return page.getByRole('region', { name: 'Picture' })
}

test('a picture is chosen, replaced by a dropped one, and undo brings the first one back', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/pictured.safetensors')
  await signIn(registry.owner, `/models/${id}`)
  await expect(getPanel(page).getByRole('button', { name: 'Add picture' })).toBeVisible()
  await page.getByTestId('picture').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: buildPng(RED) })
  await expect(page.getByText('The picture is added.')).toBeVisible()
  await expect(getPanel(page).locator('img')).toHaveJSProperty('complete', true)
  await expect(getPanel(page).locator('img')).not.toHaveJSProperty('naturalWidth', 0)
  await expectAccessible(page)
  const first = await getColour(registry, id)
  writeModelFile(registry, 'keep.safetensors')
  await drop(page, writePng(join(registry.home, 'files', 'b.png'), BLUE))
  await expect(page.getByText('The picture is replaced.')).toBeVisible()
  expect(await getColour(registry, id)).not.toBe(first)
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await expect.poll(() => getColour(registry, id)).toMatch(/^#c[0-9a-f]2[0-9a-f]2[0-9a-f]$/)
})

test('a picture is pasted, removed, and undo brings it back', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/pasted.safetensors')
  await signIn(registry.owner, `/models/${id}`)
  await expect(getPanel(page)).toBeVisible()
  await paste(page, buildPng(BLUE))
  await expect(page.getByText('The picture is added.')).toBeVisible()
  await getPanel(page).getByRole('button', { name: 'Remove picture' }).click()
  await expect(page.getByText('The picture is removed.')).toBeVisible()
  expect((await read(registry, id)).preview_url).toBeNull()
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await expect(getPanel(page).getByRole('button', { name: 'Replace picture' })).toBeVisible()
  expect((await read(registry, id)).preview_url).not.toBeNull()
})

test('a file that is no picture is refused with the reason', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/refused.safetensors')
  await signIn(registry.owner, `/models/${id}`)
  const buffer = Buffer.from('<html>not a picture</html>')
  await page.getByTestId('picture').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer })
  await expect(page.getByRole('alert').filter({ hasText: /picture/i })).toBeVisible()
  expect((await read(registry, id)).preview_url).toBeNull()
})

test('a viewer sees the picture, and cannot change it', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/looked-at.safetensors')
  await signIn(await registry.person('viewer'), `/models/${id}`)
  await expect(getPanel(page)).toBeVisible()
  await expect(getPanel(page).getByRole('button')).toHaveCount(0)
})

/** Paste a picture as from the clipboard. */
function paste(page: Page, picture: Buffer): Promise<void> {
  return page.evaluate((base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const data = new DataTransfer()
    data.items.add(new File([bytes], 'image.png', { type: 'image/png' }))
    document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
  }, picture.toString('base64'))
}

test('a picture of an earlier version is not removed from the page of a newer one, and undo removes what was added', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/inherited.safetensors')
  await registry.call(registry.owner, 'PUT', `/models/${id}/versions/1/preview`, buildPng(RED))
  const red = await getColour(registry, id)
  await registerModel(registry, 'loras/inherited.safetensors', { replaces: id })
  await signIn(registry.owner, `/models/${id}`)
  await expect(page.getByTitle('Version 2')).toBeVisible()
  await expect(getPanel(page).locator('img')).toBeVisible()
  await expect(getPanel(page).getByRole('button', { name: 'Add picture' })).toBeVisible()
  await expect(getPanel(page).getByRole('button', { name: 'Remove picture' })).toHaveCount(0)
  await page.getByTestId('picture').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: buildPng(BLUE) })
  await expect(page.getByText('The picture is added.')).toBeVisible()
  await expect(getPanel(page).getByRole('button', { name: 'Remove picture' })).toBeVisible()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(() => getColour(registry, id)).toBe(red)
  const second = await registry.call<Shown>(registry.owner, 'GET', `/models/${id}/versions/2`)
  expect(second.preview_url).toBeNull()
})

test('a picture that cannot be read is not replaced, since undo could not bring it back', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/unread.safetensors')
  await registry.call(registry.owner, 'PUT', `/models/${id}/versions/1/preview`, buildPng(RED))
  const red = await getColour(registry, id)
  await signIn(registry.owner, `/models/${id}`)
  await expect(getPanel(page).getByRole('button', { name: 'Replace picture' })).toBeVisible()
  await page.route(/previews\/[0-9a-f]+\?size=2/, (route) => route.fulfill({ status: 503 }))
  await page.getByTestId('picture').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: buildPng(BLUE) })
  await expect(page.getByRole('alert').filter({ hasText: 'The picture is unchanged' })).toBeVisible()
  expect(await getColour(registry, id)).toBe(red)
})
