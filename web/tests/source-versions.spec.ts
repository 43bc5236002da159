// Newer versions of a model at its source, and their import as the next version.

import { checkLooks, expect, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { type Sources, startRegistryWithSources } from './sources'

let sources: Sources

const test = withRegistry(
  startRegistryWithSources({}, (started) => {
    sources = started
  }),
)

const buildSource = () => `${sources.started.repository}/blob/${'0'.repeat(40)}/ink.safetensors`

test('a newer version at the source is found and imported as the next version', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/ink.safetensors', { source_url: buildSource() })
  await signIn(registry.owner, `/models/${id}`)
  const facts = page.getByRole('region', { name: 'What it is' })
  await facts.getByRole('button', { name: 'Check for a newer version' }).click()
  await expect(page.getByText('The source has a newer version')).toBeVisible()
  await expect(facts).toContainText('Newer there:')
  await facts.scrollIntoViewIfNeeded()
  await checkLooks(page, 'newer-at-source')
  await facts.getByRole('button', { name: 'Import as next version' }).click()
  const dialog = page.getByRole('dialog', { name: 'Import as next version' })
  await expect(dialog).toContainText('The file becomes the next version of loras/ink.safetensors.')
  await expect(dialog.getByLabel('Path')).toBeDisabled()
  await checkLooks(page, 'import-next-version')
  await dialog.getByRole('button', { name: 'Import', exact: true }).click()
  await expect(dialog).toBeHidden()
  await expect(page.getByRole('list', { name: 'Versions', exact: true }).getByRole('listitem')).toHaveCount(2)
  await expect(facts).not.toContainText('Newer there:')
  expect(await registry.call(registry.owner, 'GET', `/models/${id}`)).toMatchObject({ version: 2 })
})

test('a source that has lost the file says so, and the model stays as it is', async ({ page, registry, signIn }) => {
  const { id } = await registerModel(registry, 'loras/lost.safetensors', { source_url: buildSource() })
  await signIn(registry.owner, `/models/${id}`)
  await sources.tell('lose')
  await page.getByRole('button', { name: 'Check for a newer version' }).click()
  await expect(page.getByRole('alert').filter({ hasText: 'The source has no such model' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Import as next version' })).toHaveCount(0)
})
