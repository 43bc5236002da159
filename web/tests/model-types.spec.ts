// Types that ComfyUI does not know: a near miss gets a suggestion, and a new type needs a confirmation.

import { expect, withRegistry } from './fixtures'
import { chooseModelAction } from './modelActions'
import { registerModel } from './modelFiles'
import { drop, expectUploaded, writeModelFile } from './uploadActions'

const test = withRegistry()

test('a near miss of a known type gets a suggestion before the upload', async ({ page, registry, signIn }) => {
  const name = 'near-type.safetensors'
  await signIn(registry.owner, '/upload')
  await drop(page, writeModelFile(registry, name))
  const path = page.getByLabel(`Path of ${name}`)
  await path.fill(`models/lora/${name}`)
  await expect(page.getByText("Did you mean 'loras'?")).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  await page.getByRole('button', { name: `Use models/loras/${name}` }).click()
  await expect(path).toHaveValue(`models/loras/${name}`)
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
})

test('a new type is uploaded only after it is confirmed', async ({ page, registry, signIn }) => {
  const name = 'new-type.safetensors'
  await signIn(registry.owner, '/upload')
  await drop(page, writeModelFile(registry, name))
  await page.getByLabel(`Path of ${name}`).fill(`models/our_masks/${name}`)
  await expect(page.getByText("No folder 'our_masks' is known")).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  await page.getByRole('button', { name: 'Use new type our_masks' }).click()
  await page.getByRole('button', { name: 'Upload 1 file' }).click()
  await expectUploaded(page, `models/our_masks/${name}`)
})

test('an edit to a new type asks first, and one to a near miss is explained at its field', async ({
  page,
  registry,
  signIn,
}) => {
  const name = 'typed'
  const model = await registerModel(registry, `loras/${name}.safetensors`)
  await signIn(registry.owner, `/models?model=${model.id}`)
  const details = page.getByRole('dialog').filter({ has: page.getByRole('textbox', { name: 'Path' }) })
  await chooseModelAction(page, 'Edit')
  const type = details.getByRole('combobox', { name: 'Type' })
  const path = details.getByRole('textbox', { name: 'Path' })
  await type.fill('Loras')
  await path.fill(`Loras/${name}.safetensors`)
  await details.getByRole('button', { name: 'Save' }).click()
  await expect(details.getByText("Did you mean 'loras'?")).toBeVisible()
  await type.fill('our_masks')
  await path.fill(`our_masks/${name}.safetensors`)
  await details.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: 'Use new type' }).click()
  await expect(page.getByText('Saved.')).toBeVisible()
  const saved = await registry.call<Record<string, unknown>>(registry.owner, 'GET', `/models/${model.id}`)
  expect(saved).toMatchObject({ model_type: 'our_masks' })
})
