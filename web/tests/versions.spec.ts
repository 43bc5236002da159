// The versions of a model in its details: list, actions, comparison, roles, and marks in the list of models.

import type { Page } from '@playwright/test'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildSafetensors, type RegisteredModel, registerModel } from './modelFiles'
import type { Person, Registry } from './registry'

const test = withRegistry()

const PATH = (name: string) => `loras/${name}.safetensors`

/** Register a model with versions from 1 to the number of notes. */
async function createVersions(
  registry: Registry,
  name: string,
  notes: string[],
  by: Person = registry.owner,
): Promise<RegisteredModel> {
  const first = await registerModel(registry, PATH(name), { by, note: notes[0] })
  for (const note of notes.slice(1)) await registerModel(registry, PATH(name), { by, note, replaces: first.id })
  return first
}

const getVersions = (page: Page) => page.getByRole('dialog').getByRole('list', { name: 'Versions', exact: true })
const getVersion = (page: Page, number: number) =>
  getVersions(page).getByRole('listitem', { name: `Version ${number}`, exact: true })

async function chooseAction(page: Page, number: number, action: string): Promise<void> {
  await getVersion(page, number)
    .getByRole('button', { name: `Actions for version ${number}` })
    .click()
  await page.getByRole('menuitem', { name: action }).click()
}

test('the details list the versions with the current one first, and activating another one can be undone', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  const { id, file_hash } = await createVersions(registry, 'steps', ['First try.', 'Softer edges.', 'More steps.'])
  await signIn(registry.owner, `/models?model=${id}`)
  const rows = getVersions(page).getByRole('listitem')
  await expect(rows).toHaveCount(3)
  await expect(rows.nth(0)).toContainText('Current')
  await expect(rows.nth(0)).toContainText('More steps.')
  await expect(rows.nth(2)).toContainText('Replaced')
  await expect(rows.nth(2)).toContainText('First try.')
  await expect(rows.nth(2)).toContainText('Registry Owner')
  await expect(rows.nth(2)).toContainText(file_hash.slice(7, 17))
  await expect(getVersion(page, 3).getByRole('button', { name: /^Activate/ })).toHaveCount(0)
  await getVersion(page, 1).getByRole('button', { name: 'Activate version 1' }).click()
  await expect(page.getByText('Version 1 is current now.')).toBeVisible()
  await expect(rows.nth(0)).toContainText('First try.')
  await expect(rows.nth(0)).toContainText('Current')
  expect(await registry.call(registry.owner, 'GET', `/models/${id}`)).toMatchObject({ version: 1, file_hash })
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(rows.nth(0)).toContainText('More steps.')
  const history = page.getByRole('dialog').getByRole('region', { name: 'History' })
  await expect(history).toContainText(`Registry Owner activated version 1 of ${PATH('steps')} in place of version 3`)
  await expect(history).toContainText(`Registry Owner uploaded version 2 of ${PATH('steps')}`)
})

test('a deleted version is restored by undo or from the trash of versions', async ({ page, registry, signIn }) => {
  const { id } = await createVersions(registry, 'deleted', ['one', 'two', 'three'])
  await signIn(registry.owner, `/models?model=${id}`)
  await chooseAction(page, 1, 'Delete')
  await expect(getVersion(page, 1)).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(getVersion(page, 1)).toBeVisible()
  await chooseAction(page, 2, 'Delete')
  await expect(getVersion(page, 2)).toHaveCount(0)
  await page.getByRole('button', { name: 'Versions in the trash' }).click()
  const deleted = page.getByRole('list', { name: 'Versions in the trash' })
  await expect(deleted.getByRole('listitem')).toHaveCount(1)
  await expect(deleted).toContainText('Restorable until')
  await deleted.getByRole('button', { name: 'Restore version 2' }).click()
  await expect(getVersion(page, 2)).toBeVisible()
  await expect(page.getByText('No versions in the trash.')).toBeVisible()
  await getVersion(page, 3).getByRole('button', { name: 'Actions for version 3' }).click()
  await expect(page.getByRole('menuitem', { name: 'Download' })).toBeVisible()
  await expect(page.getByRole('menuitem', { name: 'Delete' })).toHaveCount(0)
})

test('the note of a version is edited, and the change can be undone', async ({ page, registry, signIn }) => {
  const { id } = await createVersions(registry, 'noted', ['one', 'two'])
  await signIn(registry.owner, `/models?model=${id}`)
  await chooseAction(page, 1, 'Edit note')
  const dialog = page.getByRole('dialog', { name: 'Note of version 1' })
  await dialog.getByLabel('Note').fill('The one of the autumn book.')
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(getVersion(page, 1)).toContainText('The one of the autumn book.')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(getVersion(page, 1)).not.toContainText('The one of the autumn book.')
  await expect(getVersion(page, 1)).toContainText('one')
})

test('comparing two versions marks the metadata that differs', async ({ page, registry, signIn }) => {
  const build = (phrase: string) =>
    buildSafetensors(256, { 'modelspec.trigger_phrase': phrase, 'modelspec.author': 'Wren' })
  const { id } = await registerModel(registry, PATH('compared'), { bytes: build('inkwash') })
  await registerModel(registry, PATH('compared'), { bytes: build('inkwsh'), replaces: id })
  await registerModel(registry, PATH('compared'), { bytes: build('inkwash'), replaces: id })
  await signIn(registry.owner, `/models?model=${id}`)
  await chooseAction(page, 2, 'Compare')
  const dialog = page.getByRole('dialog', { name: 'Compare versions' })
  await expect(dialog.getByRole('columnheader')).toHaveText(['Fact', 'Version 3', 'Version 2'])
  const words = dialog.getByRole('row', { name: /Trigger words/ })
  await expect(words.getByRole('cell')).toHaveText(['inkwash', 'inkwsh'])
  await expect(words.getByRole('img', { name: 'Differs:' })).toBeVisible()
  const author = dialog.getByRole('row', { name: /author/ })
  await expect(author.getByRole('img')).toHaveCount(0)
  await dialog.getByRole('switch', { name: 'Differences only' }).click()
  await expect(author).toHaveCount(0)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await expectAccessible(page)
    await page.screenshot({ path: `results/screenshots/versions-compare-${colorScheme}.png` })
  }
  await dialog.getByLabel('With').selectOption('Version 1')
  await expect(words).toHaveCount(0)
  await page.keyboard.press('Escape')
  await expect(dialog).toBeHidden()
})

test('a version is downloaded with its own content', async ({ page, registry, signIn }) => {
  const first = buildSafetensors(2048)
  const { id } = await registerModel(registry, PATH('loaded'), { bytes: first })
  await registerModel(registry, PATH('loaded'), { replaces: id })
  await signIn(registry.owner, `/models?model=${id}`)
  const downloading = page.waitForEvent('download')
  await chooseAction(page, 1, 'Download')
  const stream = await (await downloading).createReadStream()
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).equals(first)).toBe(true)
})

test('a model with many versions loads them in pages and shows an old current one first', async ({
  page,
  registry,
  signIn,
}) => {
  const notes = Array.from({ length: 24 }, (_, index) => `note ${index + 1}`)
  const { id } = await createVersions(registry, 'many', notes)
  await registry.call(registry.owner, 'POST', `/models/${id}/versions/1/activate`)
  await signIn(registry.owner, `/models?model=${id}`)
  const rows = getVersions(page).getByRole('listitem')
  await expect(rows).toHaveCount(21)
  await expect(rows.first()).toContainText('note 1')
  await expect(rows.first()).toContainText('Current')
  await page.getByRole('button', { name: 'Show older versions' }).click()
  await expect(rows).toHaveCount(24)
  await expect(page.getByRole('button', { name: 'Show older versions' })).toHaveCount(0)
})

test('a version that another user uploads appears in open details', async ({ page, registry, signIn }) => {
  const { id } = await createVersions(registry, 'live', ['one'])
  await signIn(registry.owner, `/models?model=${id}`)
  await expect(getVersion(page, 1)).toContainText('Current')
  await registerModel(registry, PATH('live'), { replaces: id, note: 'two' })
  await expect(getVersion(page, 2)).toContainText('Current', { timeout: 30_000 })
})

test('viewers and members see only the actions on versions that they may use', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  const theirs = await createVersions(registry, 'roles-theirs', ['one', 'two'])
  const own = await createVersions(registry, 'roles-own', ['one', 'two'], member)
  const openActions = (number: number) =>
    getVersion(page, number)
      .getByRole('button', { name: `Actions for version ${number}` })
      .click()
  await signIn(member, `/models?model=${theirs.id}`)
  await expect(getVersion(page, 1)).toBeVisible()
  await expect(page.getByRole('button', { name: /^Activate/ })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Upload new version' })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Versions in the trash' })).toHaveCount(0)
  await openActions(1)
  await expect(page.getByRole('menuitem')).toHaveText(['Compare', 'Download'])
  await page.goto(`${registry.url}/models?model=${own.id}`)
  await expect(getVersion(page, 1).getByRole('button', { name: 'Activate version 1' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Upload new version' })).toBeVisible()
  await openActions(1)
  await expect(page.getByRole('menuitem')).toHaveText(['Compare', 'Download', 'Edit note', 'Delete'])
})

test('the list of models shows version numbers above 1', async ({ page, registry, signIn }) => {
  await createVersions(registry, 'numbered-one', ['one'])
  await createVersions(registry, 'numbered-two', ['one', 'two'])
  await signIn(registry.owner, '/models?q=numbered&view=table')
  const row = (name: string) => page.getByRole('row').filter({ hasText: PATH(name) })
  await expect(row('numbered-two').getByTitle('Version 2')).toHaveText('v2')
  await expect(row('numbered-one')).toBeVisible()
  await expect(row('numbered-one').getByTitle(/^Version/)).toHaveCount(0)
  await page.goto(`${registry.url}/models?q=numbered`)
  await expect(page.getByRole('gridcell').getByTitle('Version 2')).toHaveText('v2')
})

test('the versions are accessible in light and dark, fit a narrow screen, and can be used with the keyboard', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await createVersions(registry, 'looks', [
    'First try.',
    'Softer edges, trained on 48 pictures. '.repeat(3),
  ])
  await signIn(registry.owner, `/models?model=${id}`)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 900 })
      await getVersion(page, 1).scrollIntoViewIfNeeded()
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: `results/screenshots/versions-${colorScheme}-${width}.png` })
    }
  }
  const more = getVersion(page, 1).getByRole('button', { name: 'Actions for version 1' })
  await more.focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('menu')).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await expect(page.getByRole('menuitem', { name: 'Compare' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog', { name: 'Compare versions' })).toBeVisible()
  await expectNoHorizontalScroll(page)
  await page.screenshot({ path: 'results/screenshots/versions-compare-360.png' })
  await page.keyboard.press('Escape')
  await expect(more).toBeFocused()
})
