// Adding models from links, with sources on loopback that the registry may reach.

import type { Locator, Page } from '@playwright/test'
import type { ModelImport, SourceFile } from '../src/api/types'
import { describeImport } from '../src/features/imports/describeImport'
import { findSharedPath } from '../src/features/imports/draftFields'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { listOffered } from './modelActions'
import type { Person, Registry } from './registry'
import { type Sources, startRegistryWithSources } from './sources'

let sources: Sources

const test = withRegistry(
  startRegistryWithSources({}, (started) => {
    sources = started
  }),
)

const getDialog = (page: Page) => page.getByRole('dialog', { name: 'Add from link' })
const getRow = (page: Page, name: string): Locator =>
  page.getByRole('region', { name: 'Imports' }).getByRole('listitem', { name, exact: true }).first()

/** Open the dialog on the view of uploads, and look a link up. */
async function lookUp(page: Page, link: string): Promise<Locator> {
  await page.getByRole('main').getByRole('button', { name: 'Add from link' }).click()
  const dialog = getDialog(page)
  await dialog.getByRole('textbox', { name: 'Link' }).fill(link)
  await dialog.getByRole('button', { name: 'Look up' }).click()
  return dialog
}

async function startImport(registry: Registry, person: Person, model_path: string): Promise<string> {
  const link = { url: sources.started.file }
  const draft = await registry.call<{ url: string; size: number }>(person, 'POST', '/imports/resolve', link)
  const body = { url: draft.url, file_size: draft.size, display_name: model_path, model_type: 'loras', model_path }
  return (await registry.call<{ id: string }>(person, 'POST', '/imports', body)).id
}

test('a pasted link of a repository is confirmed for one of its files, imported, and leads to the model', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/models')
  await page.getByRole('banner').getByRole('link', { name: 'Add from link' }).click()
  const dialog = getDialog(page)
  await expect(dialog.getByRole('textbox', { name: 'Link' })).toBeFocused()
  await page.evaluate((link) => {
    const data = new DataTransfer()
    data.setData('text', link)
    document.activeElement?.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    )
  }, sources.started.repository)
  await expect(dialog.getByLabel('Path')).toHaveValue('models/loras/ink.safetensors')
  await expect(dialog.getByLabel('License')).toHaveValue('cc-by-4.0')
  await expect(dialog.getByText('inkwash')).toBeVisible()
  await expect(dialog.getByText(/^[0-9a-f]{64}$/)).toBeVisible()
  await expectAccessible(page)
  await dialog.getByRole('checkbox', { name: 'ink.safetensors' }).uncheck()
  await dialog.getByRole('checkbox', { name: 'vae/clear.safetensors' }).check()
  await expect(dialog.getByLabel('Path')).toHaveValue('models/vae/clear.safetensors')
  await dialog.getByLabel('Type').selectOption('checkpoints')
  await expect(dialog.getByLabel('Path')).toHaveValue('models/checkpoints/clear.safetensors')
  await dialog.getByLabel('Name').fill('Clear')
  const base = dialog.getByRole('combobox', { name: 'Base model' })
  expect(await listOffered(base)).toContain('Pony')
  await base.fill('Pony')
  await dialog.getByRole('button', { name: 'Import' }).click()
  await expect(dialog).toBeHidden()
  await expect(getRow(page, 'Clear')).toContainText('Imported')
  await expectAccessible(page)
  await page.reload()
  await getRow(page, 'Clear').getByRole('link', { name: 'Clear' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Clear' })).toBeVisible()
  const { model_list } = await registry.call<{ model_list: object[] }>(registry.owner, 'GET', '/models?q=Clear')
  expect(model_list[0]).toMatchObject({
    model_path: 'models/checkpoints/clear.safetensors',
    base_model: 'Pony',
    license: 'cc-by-4.0',
  })
})

test('all chosen files of a repository become imports, and one that is refused says why and stays chosen', async ({
  page,
  registry,
  signIn,
}) => {
  await startImport(registry, registry.owner, 'loras/ink.safetensors')
  await signIn(registry.owner, '/upload')
  await expect(getRow(page, 'loras/ink.safetensors')).toContainText('Imported')
  const dialog = await lookUp(page, sources.started.repository)
  const [ink, clear] = ['ink.safetensors', 'vae/clear.safetensors'].map((name) =>
    dialog.getByRole('checkbox', { name }),
  ) as [Locator, Locator]
  await expect(ink).toBeChecked()
  await dialog.getByRole('checkbox', { name: 'All 2 files' }).check()
  await expect(clear).toBeChecked()
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Import 2 files' }).click()
  await expect(dialog.getByRole('alert')).toContainText('models/loras/ink.safetensors')
  await expect(clear).not.toBeChecked()
  await expect(ink).toBeChecked()
  await dialog.getByLabel('Path').fill('models/loras/second.safetensors')
  await dialog.getByRole('button', { name: 'Import', exact: true }).click()
  await expect(dialog).toBeHidden()
  await expect(getRow(page, 'clear')).toContainText('Imported')
  await expect(getRow(page, 'ink')).toContainText('Imported')
  const { model_list } = await registry.call<{ model_list: object[] }>(registry.owner, 'GET', '/models?q=clear')
  const clearModel = { model_path: 'models/vae/clear.safetensors', license: 'cc-by-4.0' }
  expect(model_list).toContainEqual(expect.objectContaining(clearModel))
})

test('links that cannot be imported say why', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/upload')
  const dialog = await lookUp(page, 'http://127.0.0.1:1/ink.safetensors')
  const alert = dialog.getByRole('alert')
  await expect(alert).toBeVisible()
  const refuse = async (link: string, words: RegExp) => {
    await dialog.getByRole('textbox', { name: 'Link' }).fill(link)
    await dialog.getByRole('button', { name: 'Look up' }).click()
    await expect(alert).toContainText(words)
  }
  await refuse(`${sources.started.repository}-gone`, /does not exist|deleted/)
  await sources.tell('gate')
  await refuse(`${sources.started.repository}/blob/main/ink.safetensors`, /gated/i)
  await sources.tell('open')
  await sources.tell('restrict')
  await refuse(sources.started.civitai, /early access/i)
  await expectAccessible(page)
})

test('a path of another model is refused in the dialog, and what was entered stays', async ({
  page,
  registry,
  signIn,
}) => {
  await startImport(registry, registry.owner, 'loras/taken.safetensors')
  await signIn(registry.owner, '/upload')
  await expect(getRow(page, 'loras/taken.safetensors')).toContainText('Imported')
  const dialog = await lookUp(page, `${sources.started.repository}/blob/main/ink.safetensors`)
  await dialog.getByLabel('Name').fill('Mine')
  await dialog.getByLabel('Path').fill('models/loras/../taken.safetensors')
  await expect(dialog.getByRole('button', { name: 'Import' })).toBeDisabled()
  await dialog.getByLabel('Path').fill('models/loras/taken.safetensors')
  await dialog.getByRole('button', { name: 'Import' }).click()
  await expect(dialog.getByRole('alert')).toContainText('taken.safetensors')
  await expect(dialog.getByLabel('Name')).toHaveValue('Mine')
})

test('a running import survives a reload, is cancelled, and retried to the end', async ({ page, registry, signIn }) => {
  await sources.tell('pause')
  await signIn(registry.owner, '/upload')
  await startImport(registry, registry.owner, 'loras/slow.safetensors')
  const row = getRow(page, 'loras/slow.safetensors')
  await page.reload()
  await expect(row).toContainText('Downloading')
  await expect(row.getByRole('progressbar')).toHaveCount(1)
  await expectAccessible(page)
  await row.getByRole('button', { name: /^Cancel/ }).click()
  await expect(row).toContainText('Cancelled')
  await sources.tell('resume')
  await row.getByRole('button', { name: /^Retry/ }).click()
  await expect(row).toContainText('Imported')
  await page.setViewportSize({ width: 360, height: 740 })
  await expectNoHorizontalScroll(page)
})

test('members change their own imports only, and viewers none', async ({ page, registry, signIn, browser }) => {
  const [member, viewer] = [await registry.person('member'), await registry.person('viewer')]
  await sources.tell('pause')
  await startImport(registry, registry.owner, 'loras/theirs.safetensors')
  await startImport(registry, member, 'loras/mine.safetensors')
  await signIn(member, '/upload')
  await expect(getRow(page, 'loras/theirs.safetensors')).toContainText('by ')
  await expect(getRow(page, 'loras/mine.safetensors').getByRole('button', { name: /^Cancel/ })).toBeVisible()
  await expect(getRow(page, 'loras/theirs.safetensors').getByRole('button')).toHaveCount(0)
  await sources.tell('resume')
  const other = await browser.newPage()
  await signIn(viewer, '/upload', other)
  await expect(other.getByText('Viewers cannot upload')).toBeVisible()
  await expect(other.getByRole('link', { name: 'Add from link' })).toHaveCount(0)
  await other.close()
})

/** A workflow in the format of ComfyUI's page, whose only node names a file with its address. */
function buildWorkflow(url: string): Buffer {
  const node = {
    id: 7,
    type: 'LoraLoaderModelOnly',
    widgets_values: ['styles/needed.safetensors', 1],
    properties: { models: [{ name: 'styles/needed.safetensors', url, directory: 'loras' }] },
  }
  return Buffer.from(JSON.stringify({ version: 0.4, links: [], nodes: [node] }))
}

test('a model that a workflow lacks is added from the address in it, at the path that it loads', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/workflows')
  const file = {
    name: 'scene.json',
    mimeType: 'application/json',
    buffer: buildWorkflow(`${sources.started.repository}/blob/main/ink.safetensors`),
  }
  await page.getByTestId('workflows').setInputFiles(file)
  await page.getByRole('button', { name: 'Add styles/needed.safetensors from link' }).click()
  const dialog = getDialog(page)
  await expect(dialog.getByLabel('Path')).toHaveValue('models/loras/styles/needed.safetensors')
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Import' }).click()
  await expect(dialog).toBeHidden()
  const table = page.getByRole('table', { name: 'Models of scene.json' })
  await expect(async () => {
    await page.getByRole('button', { name: 'Check scene.json again' }).click()
    await expect(table.getByRole('row').nth(1)).toContainText('Present', { timeout: 1_000 })
  }).toPass()
  await page.setViewportSize({ width: 780, height: 740 })
  await expectNoHorizontalScroll(page)
})

test('files of a draft that would share a path, whose case machines may ignore, are found', () => {
  const build = (file_name: string, model_type: string): SourceFile => ({
    file_name,
    model_type,
    url: `https://models.example/${file_name}`,
    name: file_name,
    size: 1,
    sha256: null,
  })
  const files = [build('ink.safetensors', 'loras'), build('ink.safetensors', 'vae')]
  expect(findSharedPath(files)).toBeUndefined()
  expect(findSharedPath([...files, build('Ink.safetensors', 'vae')])).toBe('models/vae/Ink.safetensors')
})

test('describeImport names the bytes that have come, and no size that is not known', () => {
  const running = { import_state: 'running', bytes_done: 0, file_size: null } as ModelImport
  expect(describeImport(running)).toBe('Downloading')
  expect(describeImport({ ...running, bytes_done: 2_000 })).toBe('Downloading, 2.0 kB so far')
  expect(describeImport({ ...running, bytes_done: 2_000, file_size: 9_000 })).toBe('Downloading, 2.0 kB of 9.0 kB')
})

test('describeImport of an import that relies on an ETag says so', () => {
  const done = { import_state: 'done', relies_on_etag: false } as ModelImport
  expect(describeImport(done)).toBe('Imported')
  expect(describeImport({ ...done, relies_on_etag: true })).toContain('only the ETag of the source')
})
