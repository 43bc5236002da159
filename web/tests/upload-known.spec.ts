// Files that the registry has already: the upload view names the model that has them.

import { expect, withRegistry } from './fixtures'
import { buildSafetensors, registerModel } from './modelFiles'
import { dropModel, expectUploaded } from './uploadActions'

const test = withRegistry()

test('a file that the registry has is said to be at the path of its model, also if it was dropped with another spelling', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(9_100)
  const path = 'models/loras/spelled.safetensors'
  const { id } = await registerModel(registry, path, { bytes })
  await signIn(registry.owner, '/upload')
  // The row is that of the file until the list of models, which is held back here, has come.
  let goOn = () => {}
  const listed = new Promise<void>((resolve) => {
    goOn = resolve
  })
  await page.route(/\/api\/v1\/models\?q=by/, async (route) => {
    await listed
    await route.continue()
  })
  await page.reload()
  await dropModel(page, registry, 'loras/SPELLED.safetensors', bytes)
  const file = page.getByRole('listitem', { name: 'SPELLED.safetensors' })
  await expect(file).toContainText(`Already in the registry at ${path}`)
  await expect(file.getByRole('link', { name: 'SPELLED.safetensors' })).toHaveAttribute('href', `/models/${id}`)
  goOn()
  await expect(await expectUploaded(page, path)).toContainText(`already in the registry at ${path}`)
})

test('a new version says which spelling of the path its model keeps', async ({ page, registry, signIn }) => {
  const path = 'models/loras/kept.safetensors'
  await registerModel(registry, path)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/KEPT.safetensors')
  await page.getByRole('button', { name: 'Upload as version 2' }).click()
  await page.getByRole('button', { name: /^Upload \d/ }).click()
  await expect(await expectUploaded(page, path)).toContainText(`version 2 · keeps the path ${path}`)
})
