// Pickle files on the page of their model: a refused one is allowed, and one is converted to a safetensors model.

import { checkLooks, expect, withRegistry } from './fixtures'
import { buildPickle, registerPickle, setPicklePolicy } from './pickleFiles'
import { dropModel } from './uploadActions'

const test = withRegistry()

test('an admin reads what a refused file imports, and allows it with a reason', async ({ page, registry, signIn }) => {
  const id = await registerPickle(registry, 'ultralytics/face.pt', 'trusted', buildPickle('unsafe'))
  await signIn(await registry.person('admin'), `/models/${id}`)
  await page.getByRole('button', { name: 'Allow the file of version 1' }).click()
  const dialog = page.getByRole('dialog', { name: 'Allow this file' })
  await expect(dialog.getByRole('listitem')).toHaveText(['os.system'])
  await expect(dialog.getByRole('button', { name: 'Allow this file' })).toBeDisabled()
  await checkLooks(page, 'allow-file')
  await dialog.getByLabel('Reason').fill('The original file of its authors.')
  await dialog.getByRole('button', { name: 'Allow this file' }).click()
  await expect(page.getByText('The file is allowed. The registry verifies it again.')).toBeVisible()
  await expect(page.getByRole('heading', { name: 'Verification failed' })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Download', exact: true })).toBeVisible()
  const files = await registry.call<{ trusted_file_list: object[] }>(registry.owner, 'GET', '/trusted-files')
  expect(files.trusted_file_list).toMatchObject([{ reason: 'The original file of its authors.' }])
})

test('a file cannot be allowed while the policy of the team permits no exceptions', async ({
  page,
  registry,
  signIn,
}) => {
  const id = await registerPickle(registry, 'ultralytics/hand.pt', 'scan', buildPickle('unsafe', 'hand'))
  await signIn(registry.owner, `/models/${id}`)
  await page.getByRole('button', { name: 'Allow the file of version 1' }).click()
  const dialog = page.getByRole('dialog', { name: 'Allow this file' })
  await expect(dialog).toContainText("The team's settings permit no exceptions for single files.")
  await expect(dialog.getByLabel('Reason')).toHaveCount(0)
  await checkLooks(page, 'allow-file-refused')
})

test('a file is not allowed if the policy changes while its dialog is open', async ({ page, registry, signIn }) => {
  const id = await registerPickle(registry, 'ultralytics/eye.pt', 'trusted', buildPickle('unsafe', 'eye'))
  await signIn(registry.owner, `/models/${id}`)
  await page.getByRole('button', { name: 'Allow the file of version 1' }).click()
  const dialog = page.getByRole('dialog', { name: 'Allow this file' })
  await dialog.getByLabel('Reason').fill('Ours.')
  await setPicklePolicy(registry, 'block')
  await dialog.getByRole('button', { name: 'Allow this file' }).click()
  await expect(page.getByRole('alert').filter({ hasText: 'permits no exceptions. To allow files' })).toBeVisible()
  await expect(dialog.getByLabel('Reason')).toHaveValue('Ours.')
})

test('a pickle file is converted to a model beside it', async ({ page, registry, signIn }) => {
  const id = await registerPickle(registry, 'upscale_models/print.pth', 'scan', buildPickle('clean'))
  await signIn(registry.owner, `/models/${id}`)
  const convert = async () => {
    await page.getByRole('button', { name: 'More actions', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Convert to .safetensors' }).click()
  }
  await convert()
  const path = 'upscale_models/print.safetensors'
  await expect(page.getByText(`The registry converts the file to ${path}.`)).toBeVisible()
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Uploads' }).click()
  const row = page.getByRole('region', { name: 'Imports' }).getByRole('listitem').first()
  await expect(row).toContainText('Imported')
  await checkLooks(page, 'convert-imports')
  await row.getByRole('link').click()
  await expect(page.getByRole('region', { name: 'What it is' })).toContainText('Converted from')
  await checkLooks(page, 'converted-model')
  await page.getByRole('link', { name: 'a pickle file' }).click()
  await expect(page).toHaveURL(new RegExp(id))
  await convert()
  await expect(page.getByText(`The file was converted before: ${path}.`)).toBeVisible()
})

test('a file that the team keeps only to convert it says so, and is converted from its notice', async ({
  page,
  registry,
  signIn,
}) => {
  const id = await registerPickle(registry, 'upscale_models/kept.pth', 'convert', buildPickle('clean', 'kept'))
  await signIn(await registry.person('viewer'), `/models/${id}`)
  const notice = page.getByRole('alert').filter({ hasText: 'Kept to be converted' })
  await expect(notice).toBeVisible()
  await expect(notice.getByRole('button')).toHaveCount(0)
  await page.context().clearCookies()
  await signIn(registry.owner, `/models/${id}`)
  await checkLooks(page, 'kept-to-convert')
  await expect(page.getByRole('region', { name: 'Where it is' })).toContainText('keeps its file only to convert it.')
  await expect(page.getByRole('listitem', { name: 'Version 1' })).toContainText('Kept to be converted')
  await expect(page.getByRole('main')).not.toContainText(/Verification failed|convert MODEL/)
  await notice.getByRole('button', { name: 'Convert to .safetensors' }).click()
  await expect(page.getByText('The registry converts the file to upscale_models/kept.safetensors.')).toBeVisible()
  await expect(page.getByRole('button', { name: /^Allow the file/ })).toHaveCount(0)

  await setPicklePolicy(registry, 'scan')
  await page.reload()
  await expect(page.getByText('Kept to be converted')).toHaveCount(0)
  const accepted = page.getByRole('alert').filter({ hasText: 'Not accepted when it was checked' })
  await expect(accepted).toContainText('Now the team accepts them: upload the file again at this path')
  await setPicklePolicy(registry, 'block')
  await page.reload()
  await expect(accepted).toContainText('Now the team refuses pickle files')
})

test('a file that the scan refuses is not converted, and the page says why', async ({ page, registry, signIn }) => {
  const id = await registerPickle(registry, 'upscale_models/bad.pth', 'scan', buildPickle('unsafe', 'bad'))
  await signIn(registry.owner, `/models/${id}`)
  await page.getByRole('button', { name: 'More actions', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Convert to .safetensors' }).click()
  await expect(page.getByRole('alert').filter({ hasText: 'os.system' }).last()).toBeVisible()
  await checkLooks(page, 'convert-refused')
})

test('the upload view does not call a file failed that the team keeps only to convert it', async ({
  page,
  registry,
  signIn,
}) => {
  await setPicklePolicy(registry, 'convert')
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'upscale_models/dropped.pth', buildPickle('clean', 'dropped'))
  await page.getByRole('button', { name: /^Upload \d/ }).click()
  const row = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem', { name: 'dropped' })
  await expect(row).toContainText('Kept to be converted. Machines do not get it.')
  await expect(page.getByText('This is not a model file')).toHaveCount(0)
  await page.screenshot({ path: 'results/screenshots/kept-uploaded.png' })
})
