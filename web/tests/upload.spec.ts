import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { registered, safetensors } from './files'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import type { Registry } from './registry'
import { broughtBytes, drop, dropModel, onDisk, sparseOnDisk, tensorsNamed } from './uploading'

const test = withRegistry()

interface Listed {
  id: string
  model_path: string
  file_hash: string
  tags: string[]
  required_labels: string[]
  description: string | null
}

async function models(registry: Registry, q = ''): Promise<Listed[]> {
  const path = `/models?per_page=100&q=${encodeURIComponent(q)}`
  return (await registry.call<{ model_list: Listed[] }>(registry.owner, 'GET', path)).model_list
}

const puts = async (registry: Registry) => (await broughtBytes(registry)).length
const send = (page: Page) => page.getByRole('button', { name: /^Upload \d/ }).click()

test('a dropped ComfyUI folder says where each file belongs, and what is no model is left out', async ({
  page,
  registry,
  signIn,
}) => {
  onDisk(registry, 'tree/ComfyUI/models/loras/sdxl/deep-ink.safetensors')
  onDisk(registry, 'tree/ComfyUI/models/vae/clear.safetensors')
  onDisk(registry, 'tree/ComfyUI/README.md', Buffer.from('# read'))
  onDisk(registry, 'tree/ComfyUI/models/loras/.hidden.safetensors')
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/tree/ComfyUI'))
  await expect(page.getByLabel('Path of deep-ink.safetensors')).toHaveValue('models/loras/sdxl/deep-ink.safetensors')
  await expect(page.getByLabel('Type of clear.safetensors')).toHaveValue('vae')
  await expect(page.getByText('2 files left out')).toBeVisible()
  await send(page)
  await expect(page.getByText('Registered as')).toHaveCount(2)
  const paths = (await models(registry)).map((one) => one.model_path)
  expect(paths).toEqual(
    expect.arrayContaining(['models/loras/sdxl/deep-ink.safetensors', 'models/vae/clear.safetensors']),
  )
})

test('a file without a folder gets its type from its content, and what was typed for it is kept', async ({
  page,
  registry,
  signIn,
}) => {
  const file = onDisk(registry, 'loose.safetensors', tensorsNamed('lora_unet.lora_down.weight'))
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
  await send(page)
  await expect(page.getByText('Registered as models/embeddings/mine/edited.safetensors')).toBeVisible()
  expect(await models(registry, 'edited')).toMatchObject([
    { tags: ['portrait'], required_labels: ['gpu24'], description: 'Ours.' },
  ])
  await page.getByRole('link', { name: 'Open the model' }).click()
  await expect(page).toHaveURL(/\/models\?model=/)
})

test('a file of no known kind waits until its type is chosen', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/upload')
  await drop(page, onDisk(registry, 'riddle.safetensors'))
  await expect(page.getByText('What kind of model is it?')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  await page.getByLabel('Type of riddle.safetensors').selectOption('controlnet')
  await expect(page.getByLabel('Path of riddle.safetensors')).toHaveValue('models/controlnet/riddle.safetensors')
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
})

test('what would be refused is said before the first byte', async ({ page, registry, signIn }) => {
  const folder = 'bad/models/checkpoints'
  const whole = safetensors(4096)
  onDisk(
    registry,
    `${folder}/lfs.safetensors`,
    Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:1\n'),
  )
  onDisk(registry, `${folder}/page.safetensors`, Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>'))
  onDisk(registry, `${folder}/short.safetensors`, whole.subarray(0, 2000))
  onDisk(registry, `${folder}/long.safetensors`, Buffer.concat([whole, Buffer.from('more')]))
  onDisk(registry, `${folder}/empty.safetensors`, Buffer.alloc(0))
  onDisk(registry, `${folder}/old.ckpt`, Buffer.from('PK\x03\x04 something'))
  onDisk(registry, `${folder}/a..b.safetensors`)
  onDisk(registry, 'bad/models/custom_nodes/x/loras2.safetensors')
  const before = await puts(registry)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/bad'))
  const row = (name: string) => page.getByRole('listitem').filter({ hasText: name })
  await expect(row('lfs.safetensors')).toContainText('Git LFS pointer')
  await expect(row('page.safetensors')).toContainText('HTML page')
  await expect(row('short.safetensors')).toContainText('truncated')
  await expect(row('long.safetensors')).toContainText('4 bytes follow')
  await expect(row('empty.safetensors')).toContainText('empty')
  await expect(row('old.ckpt')).toContainText('pickle_policy')
  await expect(row('a..b.safetensors')).toContainText('no `..`')
  await expect(row('loras2.safetensors')).toContainText('What kind of model')
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  expect(await puts(registry)).toBe(before)
})

test('a file that the disk has no room for is refused before its first byte', async ({ page, registry, signIn }) => {
  const before = await puts(registry)
  await signIn(registry.owner, '/upload')
  sparseOnDisk(registry, 'huge/models/loras/huge.safetensors', 4 * 1024 ** 4)
  await drop(page, join(registry.home, 'files/huge'))
  await send(page)
  await expect(page.getByText("The registry's disk is full")).toBeVisible()
  expect(await puts(registry)).toBe(before)
})

test("what the team's quota does not hold is said before the first byte", async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: 1_000 })
  try {
    await signIn(registry.owner, '/upload')
    await dropModel(page, registry, 'loras/quota.safetensors', safetensors(50_000))
    await expect(page.getByRole('alert')).toContainText('The team may store 1.0 kB')
    await expect(page.getByRole('button', { name: /^Upload 1/ })).toBeDisabled()
  } finally {
    await registry.call(registry.owner, 'PUT', '/teams/current', { quota_bytes: null })
  }
})

test('a name that not every machine can hold gets a clean one, and workflows are spoken of', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, "loras/Artist's [v2] (1).safetensors")
  await expect(page.getByText("Workflows that name 'Artist's [v2] (1).safetensors'")).toBeVisible()
  await page.getByRole('button', { name: 'Use models/loras/Artist_s_v2_1.safetensors' }).click()
  await send(page)
  await expect(page.getByText('Registered as models/loras/Artist_s_v2_1.safetensors')).toBeVisible()
})

test('two files of one drop that would be one model are told apart', async ({ page, registry, signIn }) => {
  onDisk(registry, 'twins/one/models/loras/twin.safetensors')
  onDisk(registry, 'twins/two/models/loras/TWIN.safetensors')
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/twins'))
  await expect(page.getByText('would be the same model')).toHaveCount(1)
  await page.getByLabel('Path of TWIN.safetensors', { exact: true }).fill('models/loras/other-twin.safetensors')
  await expect(page.getByRole('button', { name: 'Upload 2 files' })).toBeEnabled()
})

test('a taken path shows both hashes, and a free name is offered', async ({ page, registry, signIn }) => {
  const held = await registered(registry, 'models/loras/taken.safetensors')
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/taken.safetensors')
  await expect(page.getByText('Other bytes are at this path.')).toBeVisible()
  await expect(page.getByText(held.file_hash)).toBeVisible()
  await expect(page.getByText(/^sha256:[0-9a-f]{64}$/)).toHaveCount(2)
  await page.getByRole('button', { name: 'Use models/loras/taken_2.safetensors' }).click()
  await send(page)
  await expect(page.getByText('Registered as models/loras/taken_2.safetensors')).toBeVisible()
})

test('a model is replaced by who may, and nobody else is offered to', async ({ page, registry, signIn }) => {
  const held = await registered(registry, 'models/loras/swap.safetensors')
  const member = await registry.person('member')
  await signIn(member, '/upload')
  await dropModel(page, registry, 'loras/swap.safetensors')
  await expect(page.getByText('Only who registered it, or an admin, may replace it.')).toBeVisible()
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/swap.safetensors')
  await page.getByRole('button', { name: 'Replace the model' }).click()
  await send(page)
  await expect(page.getByText('Replaced models/loras/swap.safetensors')).toBeVisible()
  const [now] = await models(registry, 'swap')
  expect(now?.file_hash).not.toBe(held.file_hash)
})

test('a path that is taken while its bytes are on their way is asked about, and they are not sent again', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/upload')
  const looked = page.waitForResponse(/\/api\/v1\/models\?.*race/)
  await dropModel(page, registry, 'loras/race.safetensors')
  await looked
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
  const held = await registered(registry, 'models/loras/race.safetensors')
  const before = await puts(registry)
  await send(page)
  await expect(page.getByText(held.file_hash)).toBeVisible()
  await page.getByRole('button', { name: 'Use models/loras/race_2.safetensors' }).click()
  await expect(page.getByText('Registered as models/loras/race_2.safetensors')).toBeVisible()
  expect(await puts(registry)).toBe(before + 1)
})

test('bytes that the registry has are here already, at the same path and at another', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = safetensors(9_000)
  await registered(registry, 'models/loras/known.safetensors', { bytes })
  const before = await puts(registry)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/known.safetensors', bytes)
  await expect(page.getByText('Here already: models/loras/known.safetensors')).toBeVisible()
  await dropModel(page, registry, 'loras/known-too.safetensors', bytes)
  await send(page)
  await expect(page.getByText('Registered as models/loras/known-too.safetensors')).toBeVisible()
  expect(await puts(registry)).toBe(before)
})

test('a viewer is told, and sees no way to upload', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('viewer'), '/upload')
  await expect(page.getByRole('heading', { name: 'Viewers cannot upload' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Upload' })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Choose files' })).toHaveCount(0)
})

test('uploading is accessible, whatever files are called, in light and dark, wide and narrow', async ({
  page,
  registry,
  signIn,
}) => {
  await registered(registry, 'models/loras/held.safetensors')
  onDisk(registry, 'look/models/loras/held.safetensors')
  onDisk(registry, 'look/models/loras/fine.safetensors')
  onDisk(registry, 'look/models/loras/<img src=x onerror=alert(1)>\u202ecod.safetensors')
  onDisk(registry, `look/models/loras/${'模'.repeat(70)}.safetensors`)
  onDisk(registry, 'look/models/loras/🖌️ ink.safetensors')
  onDisk(registry, 'look/models/loras/old.pt', Buffer.from('PK\x03\x04 something'))
  await signIn(registry.owner, '/upload')
  await expectAccessible(page)
  await drop(page, join(registry.home, 'files/look'))
  await expect(page.getByRole('button', { name: 'Use models/loras/held_2.safetensors' })).toBeVisible()
  await expect(page.getByText("Workflows that name '<img src=x onerror=alert(1)>\ufffdcod.safetensors'")).toBeVisible()
  await page.getByRole('button', { name: 'Tags, labels, description' }).click()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
      await page.screenshot({ path: `results/upload-${colorScheme}-${width}.png`, fullPage: true })
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await send(page)
  await expect(page.getByText('Registered as models/loras/fine.safetensors')).toBeVisible()
  await expectAccessible(page)
})

test('the header speaks of the uploads of the team that one is in', async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'POST', '/teams', { display_name: 'Quiet team' })
  await signIn(registry.owner, '/upload')
  const looked = page.waitForResponse(/\/api\/v1\/models\?.*theirs/)
  await dropModel(page, registry, 'loras/theirs.safetensors')
  await looked
  await expect(page.getByRole('button', { name: 'Upload 1 file' })).toBeEnabled()
  await registered(registry, 'models/loras/theirs.safetensors')
  await send(page)
  const indicator = page.getByRole('banner').getByRole('link', { name: 'Uploads: 1 file needs you' })
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
