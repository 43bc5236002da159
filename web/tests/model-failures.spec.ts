// Models whose verification failed: what the page calls them, where it says that they are, and what their history says.

import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, withRegistry } from './fixtures'
import { ReportingMachine } from './machines'
import { buildExpensiveSafetensors, buildSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'

const test = withRegistry()

/** Register a file that the registry refuses when it verifies it; returns the model's id once it has failed. */
async function registerFailingModel(registry: Registry, path: string, facts: object = {}): Promise<string> {
  const bytes = Buffer.concat([buildExpensiveSafetensors(), Buffer.from('more')])
  const { id } = await registerModel(registry, path, { bytes, ...facts })
  await waitForFailure(registry, id)
  return id
}

async function waitForFailure(registry: Registry, id: string): Promise<void> {
  const read = () => registry.call<{ verification: string }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(async () => (await read()).verification).toBe('failed')
}

/** Register a model, cut its stored file short, and let the registry notice that at a download; returns its id. */
async function registerDamagedModel(registry: Registry, path: string): Promise<string> {
  const bytes = buildSafetensors(1024)
  const { id } = await registerModel(registry, path, { bytes })
  const stored = readdirSync(join(registry.home, 'data'), { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && one.name === 'bytes')
    .map((one) => join(one.parentPath, one.name))
    .filter((one) => readFileSync(one).equals(bytes))
  expect(stored).toHaveLength(1)
  for (const one of stored) truncateSync(one, 1)
  await expect(registry.call(registry.owner, 'GET', `/models/${id}/download`)).rejects.toThrow(/model-damaged/)
  await waitForFailure(registry, id)
  return id
}

test('a model that failed verification says so in place of machines, although the team has two', async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(registry, 'failures-one')
  await ReportingMachine.create(registry, 'failures-two')
  const plain = await registerFailingModel(registry, 'loras/failures-plain.safetensors')
  const labelled = await registerFailingModel(registry, 'loras/failures-labelled.safetensors', {
    required_labels: ['gpu24'],
  })
  await signIn(registry.owner, `/models/${plain}`)
  const places = page.getByRole('region', { name: 'Where it is' })
  const text = 'No machine gets the model, because its verification failed.'
  await expect(places).toContainText(text)
  await page.goto(`${registry.url}/models/${labelled}`)
  await expect(places).toContainText(text)
})

test('only a model that was verified once is called damaged', async ({ page, registry, signIn }) => {
  const refused = await registerFailingModel(registry, 'loras/called-refused.safetensors')
  const damaged = await registerDamagedModel(registry, 'loras/called-damaged.safetensors')
  await signIn(registry.owner, '/models?q=called')
  const cards = page.getByRole('row')
  await expect(cards.filter({ hasText: 'called-refused' })).toContainText('Verification failed')
  await expect(cards.filter({ hasText: 'called-damaged' })).toContainText('Damaged')
  await page.goto(`${registry.url}/models/${refused}`)
  await expect(page.getByRole('alert')).toContainText('No machine gets the model')
  await expect(page.getByText(/damaged/i)).toHaveCount(0)
  await page.goto(`${registry.url}/models/${damaged}`)
  await expect(page.getByRole('alert')).toContainText('Machines that have a correct copy keep it.')
  await page.goto(`${registry.url}/models?q=called`)
  await page.getByRole('checkbox', { name: 'Damaged or failed' }).click()
  await expect(page).toHaveURL(/is%3Adamaged/)
  for (const text of ['called-refused', 'called-damaged']) await expect(cards).toContainText(text)
})

test('the history of a model names it, and says that the registry verified it and who uploaded it', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'loras/told-again.safetensors'
  const { id } = await registerModel(registry, path)
  await registerModel(registry, path, { replaces: id })
  await signIn(registry.owner, `/models/${id}`)
  const events = page.getByRole('region', { name: 'History' }).getByRole('listitem')
  const sentences = [
    `Registry Owner made version 2 of ${path} the current version`,
    `Registry verified version 2 of ${path}`,
    `Registry Owner uploaded version 2 of ${path}`,
    `Registry verified version 1 of ${path}`,
    `Registry Owner registered ${path}`,
  ]
  for (const [place, sentence] of sentences.entries()) await expect(events.nth(place)).toContainText(sentence)
})
