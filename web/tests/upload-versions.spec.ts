// Uploads of new versions: from a model's details, after another person's version, and after a roll-back.

import type { Page, Route } from '@playwright/test'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildSafetensors, registerModel } from './modelFiles'
import { drop, dropModel, expectUploaded, listBlobUploads, writeModelFile } from './uploadActions'

const test = withRegistry()

const startUpload = (page: Page) => page.getByRole('button', { name: /^Upload \d/ }).click()

test('a new version that is uploaded from the details of a model keeps its path, and a name given meanwhile', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/style/chosen.safetensors', { display_name: 'The chosen one' })
  await signIn(registry.owner, `/models?model=${id}`)
  await page.getByRole('link', { name: 'Upload new version' }).click()
  await expect(page.getByText('It becomes the next version of The chosen one')).toBeVisible()
  await expectAccessible(page)
  await drop(page, writeModelFile(registry, 'from/training-0042.safetensors'))
  await expect(page.getByLabel('Path of training-0042.safetensors')).toHaveValue('loras/style/chosen.safetensors')
  await expect(page.getByText('Becomes version 2 of “The chosen one”.')).toBeVisible()
  await expect(page).toHaveURL(/\/upload$/)
  await page.getByLabel('Note for version 2').fill('More steps.')
  await registry.call(registry.owner, 'PUT', `/models/${id}`, { display_name: 'Renamed meanwhile' })
  await startUpload(page)
  await expect(await expectUploaded(page, 'loras/style/chosen.safetensors')).toContainText('version 2')
  expect(await registry.call(registry.owner, 'GET', `/models/${id}`)).toMatchObject({
    display_name: 'Renamed meanwhile',
    version: 2,
  })
})

test('several files or a file with another extension are not taken as a new version', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/single.safetensors')
  writeModelFile(registry, 'several/one.safetensors')
  writeModelFile(registry, 'several/two.safetensors')
  await signIn(registry.owner, `/upload?model=${id}`)
  await expect(page.getByText('It becomes the next version of single')).toBeVisible()
  await drop(page, `${registry.home}/files/several`)
  await expect(page.getByText('A new version is one file.')).toBeVisible()
  await expect(page.getByRole('heading', { name: 'Files to upload' })).toHaveCount(0)
  await drop(page, writeModelFile(registry, 'other.gguf', Buffer.from(`GGUF${'\0'.repeat(64)}`)))
  await expect(page.getByText("A new version must have the extension of its model, '.safetensors'.")).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
})

test('a user who may not change a model cannot upload a new version of it', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/theirs-alone.safetensors')
  await signIn(await registry.person('member'), `/upload?model=${id}`)
  await expect(page.getByRole('alert')).toContainText('Only an admin or the person who registered it')
  await page.getByRole('button', { name: 'Upload other models' }).click()
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible()
})

test('a version that another person uploads meanwhile is named, and the file can become the one after it', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'models/loras/both.safetensors'
  const admin = await registry.person('admin', 'Ada')
  const { id } = await registerModel(registry, path)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/both.safetensors')
  await page.getByRole('button', { name: 'Upload as version 2' }).click()
  // Their version arrives after the file was sent, just before it is registered.
  const registerFirst = async (route: Route) => {
    await registerModel(registry, path, { by: admin, replaces: id })
    await route.continue()
  }
  await page.route(/\/api\/v1\/models$/, registerFirst, { times: 1 })
  await startUpload(page)
  await expect(page.getByText(`Ada Tester uploaded version 2 of ${path} meanwhile.`)).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload as version 3' })).toBeEnabled()
  const before = (await listBlobUploads(registry)).length
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: `results/screenshots/upload-conflict-${colorScheme}-${width}.png` })
    }
  }
  await page.getByRole('button', { name: 'Upload as version 3' }).click()
  await expect(await expectUploaded(page, path)).toContainText('version 3')
  expect((await listBlobUploads(registry)).length).toBe(before)
})

test('a version that another person uploads before the upload starts stops it before the file is sent', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'models/loras/early.safetensors'
  const { id } = await registerModel(registry, path)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/early.safetensors')
  await page.getByRole('button', { name: 'Upload as version 2' }).click()
  await registerModel(registry, path, { replaces: id })
  const before = (await listBlobUploads(registry)).length
  await startUpload(page)
  await expect(page.getByText(`Registry Owner uploaded version 2 of ${path} meanwhile.`)).toBeVisible()
  expect((await listBlobUploads(registry)).length).toBe(before)
  await page.getByRole('button', { name: 'Use models/loras/early_2.safetensors' }).click()
  await expectUploaded(page, 'models/loras/early_2.safetensors')
})

test('after a roll-back the next version follows the newest one, whose content is not uploaded again', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'models/loras/back.safetensors'
  const newest = buildSafetensors(3000)
  const { id } = await registerModel(registry, path)
  await registerModel(registry, path, { bytes: newest, replaces: id })
  await registry.call(registry.owner, 'POST', `/models/${id}/versions/1/activate`)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/back.safetensors', newest)
  await expect(await expectUploaded(page, path)).toContainText('already in the registry as version 2')
  await dropModel(page, registry, 'loras/back.safetensors')
  await page.getByRole('button', { name: 'Upload as version 3' }).click()
  await startUpload(page)
  await expect(await expectUploaded(page, path)).toContainText('version 3')
})
