// Models that are folders: their size and files on their page and in the lists.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerFolder } from './folderFiles'
import { buildSafetensors, hashFile } from './modelFiles'
import type { Registry } from './registry'
import { drop, expectUploaded, listBlobUploads, writeModelFile } from './uploadActions'

const test = withRegistry()

/** Write a folder in the diffusers layout with two equal files and what is left out; return its path. */
function writeFolder(registry: Registry, name: string, weights: Buffer): string {
  const files = {
    'model_index.json': buildIndex(name),
    'text_encoder/vocab.txt': Buffer.from(`words of ${name}`),
    'tokenizer/vocab.txt': Buffer.from(`words of ${name}`),
    'unet/model.safetensors': weights,
    'unet/empty.txt': Buffer.alloc(0),
    '.gitattributes': Buffer.from('*.safetensors filter=lfs'),
  }
  for (const [path, bytes] of Object.entries(files)) writeModelFile(registry, `${name}/${path}`, bytes)
  return join(registry.home, 'files', name)
}

function buildIndex(name: string): Buffer {
  return Buffer.from(JSON.stringify({ _class_name: 'Pipeline', of: name }))
}

interface ListedFiles {
  version: number
  file_list: { path: string; file_hash: string }[]
}

test('the page of a folder lists its files in pages, and each can be downloaded', async ({
  page,
  registry,
  signIn,
}) => {
  const texts = Object.fromEntries(
    Array.from({ length: 60 }, (_, number) => [
      `tokenizer/${String(number).padStart(2, '0')}.txt`,
      Buffer.from(`part ${number}`),
    ]),
  )
  const weights = buildSafetensors(400_000)
  const id = await registerFolder(registry, 'diffusers/ink', { ...texts, 'unet/model.safetensors': weights })
  await signIn(registry.owner, `/models/${id}`)
  const files = page.getByRole('region', { name: 'Files' })
  await expect(files).toContainText('401 kB in 61 files')
  await expect(page.getByRole('button', { name: 'Download', exact: true })).toHaveCount(0)
  await expect(files.getByRole('listitem')).toHaveCount(50)
  await expectAccessible(page)
  await expectNoHorizontalScroll(page)
  await files.getByRole('button', { name: 'Show more files (11 left)' }).click()
  await expect(files.getByRole('listitem')).toHaveCount(61)
  await expect(files.getByRole('button', { name: /^Show more/ })).toHaveCount(0)
  const arriving = page.waitForEvent('download')
  await files.getByRole('button', { name: 'Download unet/model.safetensors' }).click()
  const download = await arriving
  expect(download.suggestedFilename()).toBe('model.safetensors')
  expect(readFileSync(await download.path())).toEqual(weights)
})

test('the lists show the size of all files of a folder and no download', async ({ page, registry, signIn }) => {
  await registerFolder(registry, 'diffusers/oil', {
    'model_index.json': Buffer.from('{"_class_name": "Pipeline"}'),
    'unet/model.safetensors': buildSafetensors(5_000_000),
  })
  await signIn(registry.owner, '/models?q=oil')
  const card = page.getByRole('gridcell').filter({ hasText: 'oil' })
  await expect(card).toContainText('Folder, 5.0 MB')
  await card.hover()
  await expect(card.getByRole('button', { name: 'More actions for oil' })).toBeVisible()
  await expect(card.getByRole('button', { name: 'Download oil' })).toHaveCount(0)
  await page.goto(`${registry.url}/models?q=oil&view=table`)
  await expect(page.getByRole('row').filter({ hasText: 'oil' })).toContainText('5.0 MB')
})

test('a dropped folder becomes one model, and a changed one its next version', async ({ page, registry, signIn }) => {
  // Large enough to be sent in parts.
  const weights = buildSafetensors(34_000_000)
  const folder = writeFolder(registry, 'wash', weights)
  const countSmallUploads = async () =>
    (await listBlobUploads(registry)).filter(({ received }) => received < 1000).length
  const before = await countSmallUploads()
  await signIn(registry.owner, '/upload')
  await drop(page, folder)
  const question = page.getByRole('region', { name: 'Is “wash” one model?' })
  await expect(question).toContainText('4 files with 34.0 MB')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'One model (folder)' }).click()
  await expect(question).toHaveCount(0)
  await expect(page.getByRole('textbox', { name: 'Path of wash' })).toHaveValue('models/diffusers/wash')
  await expect(page.getByText('2 hidden or empty files are left out.')).toBeVisible()
  await page.getByRole('button', { name: 'Upload 1 model' }).click()
  await expectUploaded(page, 'models/diffusers/wash')
  // The index, the vocabulary, which two files share, and the manifest.
  expect((await countSmallUploads()) - before).toBe(3)
  const { model_list } = await registry.call<{ model_list: { id: string; total_size: number; file_count: number }[] }>(
    registry.owner,
    'GET',
    '/models?q=wash',
  )
  const total_size = weights.length + 2 * 'words of wash'.length + buildIndex('wash').length
  expect(model_list).toMatchObject([{ file_count: 4, total_size }])
  const id = model_list[0]?.id ?? ''

  const changed = buildSafetensors(2048)
  writeModelFile(registry, 'wash/unet/model.safetensors', changed)
  await page.goto(`${registry.url}/models/${id}`)
  await page.getByRole('link', { name: 'Upload new version' }).click()
  await expect(page.getByText('Choose or drop one folder.')).toBeVisible()
  await drop(page, folder)
  await expect(page.getByText('Becomes version 2 of “wash”.')).toBeVisible()
  await page.getByRole('button', { name: 'Upload 1 model' }).click()
  const listFiles = () => registry.call<ListedFiles>(registry.owner, 'GET', `/models/${id}/files`)
  await expect.poll(async () => (await listFiles()).version).toBe(2)
  expect((await listFiles()).file_list.map(({ path, file_hash }) => [path, file_hash])).toContainEqual([
    'unet/model.safetensors',
    hashFile(changed),
  ])
})

test('after a refused file of a folder is mended, only that file and the manifest are sent', async ({
  page,
  registry,
  signIn,
}) => {
  const folder = writeFolder(registry, 'asking', buildSafetensors(2048))
  writeModelFile(registry, 'asking/unet/config.json', Buffer.from('{"auto_map": {"AutoModel": "model.Own"}}'))
  await signIn(registry.owner, '/upload')
  await drop(page, folder)
  await page.getByRole('button', { name: 'One model (folder)' }).click()
  await page.getByRole('button', { name: 'Upload 1 model' }).click()
  await expect(page.getByText("'unet/config.json' has 'auto_map'")).toBeVisible()
  const before = (await listBlobUploads(registry)).length

  await page.getByRole('button', { name: 'Cancel asking' }).click()
  writeModelFile(registry, 'asking/unet/config.json', Buffer.from('{"sample_size": 64}'))
  await drop(page, folder)
  await page.getByRole('button', { name: 'One model (folder)' }).click()
  await page.getByRole('button', { name: 'Upload 1 model' }).click()
  await expectUploaded(page, 'models/diffusers/asking')

  expect((await listBlobUploads(registry)).length - before).toBe(2)
})

test('a folder that is the newest version already is not uploaded again', async ({ page, registry, signIn }) => {
  const id = await registerFolder(registry, 'diffusers/twice', { 'model.safetensors': buildSafetensors(2048) })
  const weights = buildSafetensors(4096)
  const folder = join(registry.home, 'files', 'twice')
  writeModelFile(registry, 'twice/model.safetensors', weights)
  await signIn(registry.owner, `/models/${id}`)
  await page.getByRole('link', { name: 'Upload new version' }).click()
  await expect(page.getByRole('heading', { name: 'Uploads', exact: true })).toBeVisible()
  await drop(page, folder)
  await expect(page.getByText('Becomes version 2 of “twice”.')).toBeVisible()
  await registerFolder(registry, 'diffusers/twice', { 'model.safetensors': weights }, id)

  await page.getByRole('button', { name: 'Upload 1 model' }).click()

  await expect(page.getByText(/already in the registry/i)).toBeVisible()
})

test('each file of a dropped folder can be a model of its own', async ({ page, registry, signIn }) => {
  const folder = writeFolder(registry, 'grain', buildSafetensors(2048))
  await signIn(registry.owner, '/upload')
  await drop(page, folder)
  await page.getByRole('button', { name: 'Each file a model' }).click()
  await expect(page.getByRole('textbox', { name: 'Path of model.safetensors' })).toBeVisible()
  await expect(page.getByRole('textbox', { name: 'Path of grain' })).toHaveCount(0)
})

test('model folders deep in a dropped tree are asked for, also those of weights in several files', async ({
  page,
  registry,
  signIn,
}) => {
  const models = {
    'LLM/words/words-00001-of-00002.safetensors': buildSafetensors(2048),
    'LLM/words/words-00002-of-00002.safetensors': buildSafetensors(2048),
    'LLM/words/words.safetensors.index.json': Buffer.from('{"weight_map": {}}'),
    'diffusers/glaze/model_index.json': buildIndex('glaze'),
    'diffusers/glaze/unet/config.json': Buffer.from('{}'),
    'diffusers/glaze/unet/model.safetensors': buildSafetensors(2048),
    // Beside the models of a folder of ComfyUI, it describes none of them.
    'loras/config.json': Buffer.from('{}'),
    'loras/clay.safetensors': buildSafetensors(2048),
  }
  for (const [path, bytes] of Object.entries(models)) writeModelFile(registry, `studio/models/${path}`, bytes)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files', 'studio'))
  await expect(page.getByRole('textbox', { name: 'Path of clay.safetensors' })).toHaveValue(
    'models/loras/clay.safetensors',
  )
  const questions = page.getByRole('region', { name: /one model\?$/ })
  await expect(questions).toHaveCount(2)
  const paths = ['LLM/words', 'diffusers/glaze']
  for (const path of paths) {
    const question = page.getByRole('region', { name: `Is “studio/models/${path}” one model?` })
    await question.getByRole('button', { name: 'One model (folder)' }).click()
    const name = path.split('/')[1] ?? ''
    await expect(page.getByRole('textbox', { name: `Path of ${name}` })).toHaveValue(`models/${path}`)
  }
  await page.getByRole('button', { name: 'Upload 3 models' }).click()
  for (const path of paths) await expectUploaded(page, `models/${path}`)
})

test('a folder with code is refused before anything is sent', async ({ page, registry, signIn }) => {
  const folder = writeFolder(registry, 'coded', buildSafetensors(2048))
  writeModelFile(registry, 'coded/pipeline.py', Buffer.from('print(1)'))
  await signIn(registry.owner, '/upload')
  await drop(page, folder)
  await page.getByRole('button', { name: 'One model (folder)' }).click()
  await expect(page.getByText("A folder model may not contain 'pipeline.py'")).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
})
