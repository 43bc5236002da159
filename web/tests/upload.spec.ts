import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'
import {
  buildSafetensorsWithTensors,
  drop,
  dropModel,
  expectUploaded,
  listBlobUploads,
  writeLargeHeader,
  writeModelFile,
  writeSparseModelFile,
} from './uploadActions'

const test = withRegistry()

interface Listed {
  version: number
  id: string
  model_path: string
  file_hash: string
  tags: string[]
  required_labels: string[]
  description: string | null
}

async function listModels(registry: Registry, q = ''): Promise<Listed[]> {
  const path = `/models?per_page=100&q=${encodeURIComponent(q)}`
  return (await registry.call<{ model_list: Listed[] }>(registry.owner, 'GET', path)).model_list
}

const countUploads = async (registry: Registry) => (await listBlobUploads(registry)).length
const startUpload = (page: Page) => page.getByRole('button', { name: /^Upload \d/ }).click()

test('a dropped ComfyUI folder gives each file its path and type, and other files are skipped', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  writeModelFile(registry, 'tree/ComfyUI/models/loras/sdxl/deep-ink.safetensors')
  writeModelFile(registry, 'tree/ComfyUI/models/vae/clear.safetensors')
  writeModelFile(registry, 'tree/ComfyUI/README.md', Buffer.from('# read'))
  writeModelFile(registry, 'tree/ComfyUI/models/loras/.hidden.safetensors')
  writeModelFile(registry, 'tree/ComfyUI/models/ipadapter/face.safetensors')
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/tree/ComfyUI'))
  await expect(page.getByLabel('Path of deep-ink.safetensors')).toHaveValue('models/loras/sdxl/deep-ink.safetensors')
  await expect(page.getByLabel('Type of clear.safetensors')).toHaveValue('vae')
  await expect(page.getByLabel('Type of face.safetensors')).toHaveValue('ipadapter')
  await expect(page.getByText('2 files skipped')).toBeVisible()
  await startUpload(page)
  for (const path of ['loras/sdxl/deep-ink', 'vae/clear', 'ipadapter/face'])
    await expectUploaded(page, `models/${path}.safetensors`)
  const paths = (await listModels(registry)).map((one) => one.model_path)
  expect(paths).toEqual(
    expect.arrayContaining(['models/loras/sdxl/deep-ink.safetensors', 'models/vae/clear.safetensors']),
  )
})

test('a single file gets its type from its content, and edited fields are registered', async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeModelFile(registry, 'loose.safetensors', buildSafetensorsWithTensors('lora_unet.lora_down.weight'))
  await signIn(registry.owner, '/upload')
  await drop(page, file)
  await expect(page.getByLabel('Path of loose.safetensors')).toHaveValue('models/loras/loose.safetensors')
  await page.getByLabel('Type of loose.safetensors').selectOption('embeddings')
  await page.getByLabel('Path of loose.safetensors').fill('models/embeddings/mine/edited.safetensors')
  await page.getByRole('button', { name: 'Tags, labels, description' }).click()
  await page.getByRole('combobox', { name: 'Tags' }).fill('portrait')
  await page.keyboard.press('Enter')
  await page.getByRole('combobox', { name: 'Required labels' }).fill('gpu24')
  await page.keyboard.press('Enter')
  await page.getByLabel('Description').fill('Ours.')
  await startUpload(page)
  const row = await expectUploaded(page, 'models/embeddings/mine/edited.safetensors')
  expect(await listModels(registry, 'edited')).toMatchObject([
    { tags: ['portrait'], required_labels: ['gpu24'], description: 'Ours.' },
  ])
  await row.getByRole('link', { name: 'loose' }).click()
  await expect(page).toHaveURL(/\/models\/[0-9a-f-]{36}$/)
})

test('a file of unknown type cannot be uploaded before its type is selected', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/upload')
  await drop(page, writeModelFile(registry, 'riddle.safetensors'))
  await expect(page.getByText('The model type is unknown')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  await page.getByLabel('Type of riddle.safetensors').selectOption('controlnet')
  await expect(page.getByLabel('Path of riddle.safetensors')).toHaveValue('models/controlnet/riddle.safetensors')
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
})

test('files that the registry would refuse are marked before anything is uploaded', async ({
  page,
  registry,
  signIn,
}) => {
  const folder = 'bad/models/checkpoints'
  const whole = buildSafetensors(4096)
  writeModelFile(
    registry,
    `${folder}/lfs.safetensors`,
    Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:1\n'),
  )
  writeModelFile(
    registry,
    `${folder}/page.safetensors`,
    Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>'),
  )
  writeModelFile(registry, `${folder}/short.safetensors`, whole.subarray(0, 2000))
  writeModelFile(registry, `${folder}/long.safetensors`, Buffer.concat([whole, Buffer.from('more')]))
  writeLargeHeader(registry, `${folder}/embedded.sft`)
  writeModelFile(registry, `${folder}/empty.safetensors`, Buffer.alloc(0))
  writeModelFile(registry, `${folder}/old.ckpt`, Buffer.from('PK\x03\x04 something'))
  writeModelFile(registry, `${folder}/a..b.safetensors`)
  writeModelFile(registry, 'bad/models/custom_nodes/x/loras2.safetensors')
  const before = await countUploads(registry)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/bad'))
  const row = (name: string) => page.getByRole('listitem').filter({ hasText: name })
  await expect(row('lfs.safetensors')).toContainText('Git LFS pointer')
  await expect(row('page.safetensors')).toContainText('HTML page')
  await expect(row('short.safetensors')).toContainText('truncated')
  await expect(row('long.safetensors')).toContainText('4 bytes follow')
  await expect(row('embedded.sft')).toContainText('the registry reads at most 16 MiB')
  await expect(row('empty.safetensors')).toContainText('empty')
  await expect(row('old.ckpt')).toContainText('this team takes none')
  await expect(row('a..b.safetensors')).toContainText('no `..`')
  await expect(row('loras2.safetensors')).toContainText('The model type is unknown')
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  expect(await countUploads(registry)).toBe(before)
})

test('a file whose name has more words than a search is registered, and found at its path', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const name = 'ink wash of nine words for a long night.safetensors'
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, `loras/${name}`)
  await startUpload(page)
  await expectUploaded(page, `models/loras/${name}`)
  await dropModel(page, registry, `loras/${name}`)
  await expect(page.getByText('A different file is at this path.')).toBeVisible()
})

test('a file larger than the free disk space is refused before anything is uploaded', async ({
  page,
  registry,
  signIn,
}) => {
  const before = await countUploads(registry)
  await signIn(registry.owner, '/upload')
  writeSparseModelFile(registry, 'huge/models/loras/huge.safetensors', 4 * 1024 ** 4)
  await drop(page, join(registry.home, 'files/huge'))
  await startUpload(page)
  await expect(page.getByText("The registry's disk is full")).toBeVisible()
  expect(await countUploads(registry)).toBe(before)
})

test("a file over the team's quota is refused before anything is uploaded", async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: 1_000 })
  try {
    await signIn(registry.owner, '/upload')
    await dropModel(page, registry, 'loras/quota.safetensors', buildSafetensors(50_000))
    await expect(page.getByRole('alert')).toContainText("The team's quota is 1.0 kB")
    await expect(page.getByRole('button', { name: /^Upload 1/ })).toBeDisabled()
  } finally {
    await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: null })
  }
})

test('a file as large as one of the team needs its size once in the quota', async ({ page, registry, signIn }) => {
  const bytes = buildSafetensors(50_000)
  await registerModel(registry, 'loras/equal-1.safetensors', { bytes: buildSafetensors(50_000) })
  const { stored_bytes } = await registry.call<{ stored_bytes: number }>(registry.owner, 'GET', '/teams/current')
  await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: stored_bytes + 75_000 })
  try {
    await signIn(registry.owner, '/upload')
    await dropModel(page, registry, 'loras/equal-2.safetensors', bytes)
    await startUpload(page)
    await expectUploaded(page, 'models/loras/equal-2.safetensors')
  } finally {
    await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: null })
  }
})

test('a file name that not every file system allows gets a suggested name and a note about workflows', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, "loras/Artist's [v2] (1).safetensors")
  await expect(page.getByText("Workflows that use 'Artist's [v2] (1).safetensors'")).toBeVisible()
  await page.getByRole('button', { name: 'Use models/loras/Artist_s_v2_1.safetensors' }).click()
  await startUpload(page)
  await expectUploaded(page, 'models/loras/Artist_s_v2_1.safetensors')
})

test('files that are dropped on the list of models, also on an empty one, are offered for upload', async ({
  page,
  registry,
  signIn,
}) => {
  const team = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name: 'Empty' })
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
  await signIn(registry.owner, '/models')
  await expect(page.getByRole('heading', { name: 'No models yet' })).toBeVisible()
  await dropOnList(page, registry, 'on-empty')
  await startUpload(page)
  await expectUploaded(page, 'models/loras/on-empty.safetensors')
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Models' }).click()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await dropOnList(page, registry, 'on-list')
})

/** Drop a file on the list of models, again until the code that takes it runs, and expect its draft. */
async function dropOnList(page: Page, registry: Registry, name: string): Promise<void> {
  await expect(async () => {
    await dropModel(page, registry, `loras/${name}.safetensors`)
    await expect(page).toHaveURL(/\/upload$/, { timeout: 2_000 })
  }).toPass()
  await expect(page.getByLabel(`Path of ${name}.safetensors`)).toHaveValue(`models/loras/${name}.safetensors`)
}

test('two dropped files with the same path are marked until one path is changed', async ({
  page,
  registry,
  signIn,
}) => {
  writeModelFile(registry, 'twins/one/models/loras/twin.safetensors')
  writeModelFile(registry, 'twins/two/models/loras/TWIN.safetensors')
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/twins'))
  await expect(page.getByText('would become the same model')).toHaveCount(1)
  await page.getByLabel('Path of TWIN.safetensors', { exact: true }).fill('models/loras/other-twin.safetensors')
  await expect(page.getByRole('button', { name: 'Upload 2 files' })).toBeEnabled()
})

test('a taken path shows both hashes and offers a free path', async ({ page, registry, signIn }) => {
  const existing = await registerModel(registry, 'models/loras/taken.safetensors')
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/taken.safetensors')
  await expect(page.getByText('A different file is at this path.')).toBeVisible()
  await expect(page.getByText(existing.file_hash)).toBeVisible()
  await expect(page.getByText(/^sha256:[0-9a-f]{64}$/)).toHaveCount(2)
  await page.getByRole('button', { name: 'Use models/loras/taken_2.safetensors' }).click()
  await startUpload(page)
  await expectUploaded(page, 'models/loras/taken_2.safetensors')
})

test('only a user who may change a model is offered to upload its next version', async ({ page, registry, signIn }) => {
  const existing = await registerModel(registry, 'models/loras/swap.safetensors')
  const member = await registry.person('member')
  await signIn(member, '/upload')
  await dropModel(page, registry, 'loras/swap.safetensors')
  await expect(page.getByText('Only an admin or the person who registered it can upload a new version.')).toBeVisible()
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/swap.safetensors')
  await page.getByLabel('Note for version 2').fill('Softer edges.')
  await page.getByRole('button', { name: 'Upload as version 2' }).click()
  await expect(page.getByText('Becomes version 2 of “swap”.')).toBeVisible()
  await expect(page.getByLabel('Note for version 2')).toHaveValue('Softer edges.')
  await startUpload(page)
  await expect(await expectUploaded(page, 'models/loras/swap.safetensors')).toContainText('version 2')
  const [now] = await listModels(registry, 'swap')
  expect(now).toMatchObject({ id: existing.id, version: 2 })
  expect(now?.file_hash).not.toBe(existing.file_hash)
  const version = await registry.call(registry.owner, 'GET', `/models/${existing.id}/versions/2`)
  expect(version).toMatchObject({ note: 'Softer edges.', version_status: 'current' })
})

test('a path taken during the upload asks for another one and does not upload the file again', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/upload')
  const pathChecked = page.waitForResponse(/\/models\/lookup$/)
  await dropModel(page, registry, 'loras/race.safetensors')
  await pathChecked
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
  const existing = await registerModel(registry, 'models/loras/race.safetensors')
  const before = await countUploads(registry)
  await startUpload(page)
  await expect(page.getByText(existing.file_hash)).toBeVisible()
  await page.getByRole('button', { name: 'Use models/loras/race_2.safetensors' }).click()
  await expectUploaded(page, 'models/loras/race_2.safetensors')
  expect(await countUploads(registry)).toBe(before + 1)
})

test('a file that the registry has already is not uploaded again, at the same path or another', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(9_000)
  await registerModel(registry, 'models/loras/known.safetensors', { bytes })
  const before = await countUploads(registry)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/known.safetensors', bytes)
  const known = await expectUploaded(page, 'models/loras/known.safetensors')
  await expect(known).toContainText('already in the registry')
  await dropModel(page, registry, 'loras/known-too.safetensors', bytes)
  await startUpload(page)
  await expectUploaded(page, 'models/loras/known-too.safetensors')
  expect(await countUploads(registry)).toBe(before)
})

test('a viewer who opens the upload view sees that viewers cannot upload', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('viewer'), '/upload')
  await expect(page.getByRole('heading', { name: 'Viewers cannot upload' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Upload' })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Choose files' })).toHaveCount(0)
})

test('the upload view is accessible with hostile file names, in light and dark, on wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'models/loras/held.safetensors')
  writeModelFile(registry, 'look/models/loras/held.safetensors')
  writeModelFile(registry, 'look/models/loras/fine.safetensors')
  writeModelFile(registry, 'look/models/loras/<img src=x onerror=alert(1)>\u202ecod.safetensors')
  writeModelFile(registry, `look/models/loras/${'模'.repeat(70)}.safetensors`)
  writeModelFile(registry, 'look/models/loras/🖌️ ink.safetensors')
  writeModelFile(registry, 'look/models/loras/old.pt', Buffer.from('PK\x03\x04 something'))
  await signIn(registry.owner, '/upload')
  await expectAccessible(page)
  await drop(page, join(registry.home, 'files/look'))
  await expect(page.getByRole('button', { name: 'Use models/loras/held_2.safetensors' })).toBeVisible()
  await expect(page.getByText("Workflows that use '<img src=x onerror=alert(1)>\ufffdcod.safetensors'")).toBeVisible()
  await page.getByRole('button', { name: 'Tags, labels, description' }).click()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: `results/upload-${colorScheme}-${width}.png`, fullPage: true })
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await startUpload(page)
  await expectUploaded(page, 'models/loras/fine.safetensors')
  await expectAccessible(page)
})

test('the header shows the uploads of the current team only', { tag: '@core' }, async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'POST', '/teams', { display_name: 'Quiet team' })
  await signIn(registry.owner, '/upload')
  const pathChecked = page.waitForResponse(/\/models\/lookup$/)
  await dropModel(page, registry, 'loras/theirs.safetensors')
  await pathChecked
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
  await registerModel(registry, 'models/loras/theirs.safetensors')
  await startUpload(page)
  const indicator = page.getByRole('banner').getByRole('link', { name: 'Uploads: 1 file needs attention' })
  await expect(indicator).toBeVisible()
  await page.getByRole('button', { name: 'Studio' }).click()
  await page.getByRole('menuitem', { name: 'Quiet team' }).click()
  await expect(page.getByRole('button', { name: 'Quiet team' })).toBeVisible()
  await expect(indicator).toHaveCount(0)
  await expect(page.getByRole('status', { name: 'Uploads' })).toBeEmpty()
  await page.getByRole('button', { name: 'Quiet team' }).click()
  await page.getByRole('menuitem', { name: 'Studio', exact: true }).click()
  await expect(indicator).toBeVisible()
})
