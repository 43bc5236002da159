// Models whose verification failed: what the page calls them, where it says that they are, and what their history says.

import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, withRegistry } from './fixtures'
import { registerFolder } from './folderFiles'
import { ReportingMachine } from './machines'
import { buildExpensiveSafetensors, buildSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'
import { drop, dropModel, writeModelFile } from './uploadActions'

const test = withRegistry()

const ONLY_OWNER = 'Only an admin or the person who registered the model'

/** Register a file that the registry refuses when it verifies it; returns the model's id once it has failed. */
async function registerFailingModel(registry: Registry, path: string, facts: object = {}): Promise<string> {
  const bytes = Buffer.concat([buildExpensiveSafetensors(), Buffer.from('more')])
  const { id } = await registerModel(registry, path, { bytes, ...facts })
  await waitForFailure(registry, `/models/${id}`)
  return id
}

/** Wait until the content of a model or version has failed, by its address in the API. */
async function waitForFailure(registry: Registry, address: string): Promise<void> {
  const read = () => registry.call<{ verification: string }>(registry.owner, 'GET', address)
  await expect.poll(async () => (await read()).verification).toBe('failed')
}

/** Register a model, cut its stored file short, and let the registry notice that at a download; returns its id. */
async function registerDamagedModel(
  registry: Registry,
  path: string,
  bytes: Buffer = buildSafetensors(1024),
): Promise<string> {
  const { id } = await registerModel(registry, path, { bytes })
  await damageStoredFile(registry, id, 1, bytes)
  return id
}

/** Cut the stored file of a version short, and let the registry notice that at a download of it. */
async function damageStoredFile(registry: Registry, id: string, version: number, bytes: Buffer): Promise<void> {
  const stored = readdirSync(join(registry.home, 'data'), { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && one.name === 'bytes')
    .map((one) => join(one.parentPath, one.name))
    .filter((one) => readFileSync(one).equals(bytes))
  expect(stored).toHaveLength(1)
  for (const one of stored) truncateSync(one, 1)
  const address = `/models/${id}/download?version=${version}`
  await expect(registry.call(registry.owner, 'GET', address)).rejects.toThrow(/model-damaged/)
  await waitForFailure(registry, `/models/${id}/versions/${version}`)
}

/** Build a file that only the registry refuses, when it verifies it: the page leaves an unknown dtype to it. */
function buildRefusedSafetensors(): Buffer {
  const bytes = buildExpensiveSafetensors()
  bytes.write('"X8"', bytes.indexOf('"U8"'))
  return bytes
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
  await registerModel(registry, 'loras/called-healthy.safetensors')
  await signIn(registry.owner, '/models?q=called&view=table')
  const row = (name: string) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) })
  await expect(row('called-refused')).toContainText('Verification failed')
  await expect(row('called-damaged')).toContainText('Damaged')
  await expect(row('called-damaged')).not.toContainText('Verification failed')
  await page.getByRole('checkbox', { name: 'Damaged or failed' }).click()
  await expect(page).toHaveURL(/is%3Adamaged/)
  await expect(row('called-healthy')).toHaveCount(0)
  for (const name of ['called-refused', 'called-damaged']) await expect(row(name)).toBeVisible()
  await page.goto(`${registry.url}/models/${refused}`)
  await expect(page.getByRole('alert')).toContainText('No machine gets the model')
  await expect(page.getByText(/damaged/i)).toHaveCount(0)
  await page.goto(`${registry.url}/models/${damaged}`)
  const alert = page.getByRole('alert')
  await expect(alert).toContainText(/the stored file had 1 byte; the verified file has 1\.\d kB\./)
  await expect(alert).toContainText('Machines that have a correct copy keep it. Upload the correct file below:')
  await expect(alert).not.toContainText(/at this path|Push/)
})

test('a member is told to repair a damaged model of another person, and to ask for a model that was never verified', async ({
  page,
  registry,
  signIn,
}) => {
  const refused = await registerFailingModel(registry, 'loras/ask-for.safetensors')
  const damaged = await registerDamagedModel(registry, 'loras/repair-it.safetensors')
  await signIn(await registry.person('member'), `/models/${damaged}`)
  const alert = page.getByRole('main').getByRole('alert')
  await expect(alert).toContainText('Upload the same file at this path: that repairs the model.')
  await page.goto(`${registry.url}/models/${refused}`)
  await expect(alert).toContainText('Ask an admin or the person who registered it to upload the correct file.')
})

test('the correct file that is dropped at the path of a damaged model repairs it, without a decision', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(1_500)
  const path = 'models/loras/dropped-again.safetensors'
  const id = await registerDamagedModel(registry, path, bytes)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/dropped-again.safetensors', bytes)
  await expect(page.getByText('Repairs version 1 of “dropped-again”.')).toBeVisible()
  await expect(page.getByLabel(/^Note for/)).toHaveCount(0)
  await expect(page.getByText('A different file is at this path.')).toHaveCount(0)
  await page.screenshot({ path: 'results/screenshots/repair-draft.png' })
  await page.getByRole('button', { name: /^Upload \d/ }).click()
  const rows = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem')
  await expect(rows.filter({ hasText: 'version 1 repaired' })).toBeVisible()
  await page.screenshot({ path: 'results/screenshots/repair-done.png' })
  const read = () => registry.call(registry.owner, 'GET', `/models/${id}`)
  expect(await read()).toMatchObject({ verification: 'verified', version: 1, version_count: 1 })
})

test('the correct file repairs a damaged model from its page, and the alert of a failed version comes second', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildSafetensors(1_700)
  const id = await registerDamagedModel(registry, 'loras/by-button.safetensors', bytes)
  const wrong = Buffer.concat([buildExpensiveSafetensors(), Buffer.from('also more')])
  await registerModel(registry, 'loras/by-button.safetensors', { bytes: wrong, replaces: id })
  const read = () => registry.call<{ pending_version: object }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(async () => (await read()).pending_version).toMatchObject({ verification: 'failed' })
  await signIn(registry.owner, `/models/${id}`)
  const alerts = page.getByRole('main').getByRole('alert')
  await expect(alerts).toHaveCount(2)
  await expect(alerts.nth(0)).toContainText('The stored file is damaged')
  await expect(alerts.nth(1)).toContainText('Version 2 failed verification')
  await expect(alerts.nth(1)).not.toContainText('Machines keep')
  await page.screenshot({ path: 'results/screenshots/repair-alerts.png' })
  await page.getByRole('link', { name: 'Upload new version' }).click()
  await expect(page.getByText('The correct file repairs version 1.')).toBeVisible()
  await drop(page, writeModelFile(registry, 'from/a-backup.safetensors', bytes))
  await expect(page.getByText('Repairs version 1 of “by-button”.')).toBeVisible()
  await page.getByRole('button', { name: /^Upload \d/ }).click()
  const row = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem')
  await expect(row.filter({ hasText: 'by-button' })).toContainText('version 1 repaired')
  expect(await read()).toMatchObject({ verification: 'verified', version: 1, version_count: 2 })
})

test('a file that failed verification is uploaded again only by a user who may change its model', async ({
  page,
  registry,
  signIn,
}) => {
  const bytes = buildRefusedSafetensors()
  await registerFailingModel(registry, 'loras/sent-again.safetensors', { bytes })
  await signIn(await registry.person('member'), '/upload')
  await dropModel(page, registry, 'loras/sent-again.safetensors', bytes)
  await expect(page.getByText(`${ONLY_OWNER} can upload version 1 of “sent-again” again.`)).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
  await page.screenshot({ path: 'results/screenshots/upload-again-refused.png' })
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/sent-again.safetensors', bytes)
  await expect(page.getByText('Uploads version 1 of “sent-again” again.')).toBeVisible()
  await expect(page.getByRole('button', { name: /^Upload 1 file/ })).toBeEnabled()
})

test('a folder that failed verification is not uploaded again by a user who may not change its model', async ({
  page,
  registry,
  signIn,
}) => {
  const index = Buffer.from('{"_class_name": "Pipeline"}')
  const files = { 'model_index.json': index, 'model.safetensors': buildRefusedSafetensors() }
  const id = await registerFolder(registry, 'diffusers/sent-whole', files)
  await waitForFailure(registry, `/models/${id}`)
  for (const [path, bytes] of Object.entries(files)) writeModelFile(registry, `sent-whole/${path}`, bytes)
  await signIn(await registry.person('member'), '/upload')
  await drop(page, join(registry.home, 'files/sent-whole'))
  await page.getByRole('button', { name: 'One model (folder)' }).click()
  await expect(page.getByText(`${ONLY_OWNER} can upload version 1 of “sent-whole” again.`)).toBeVisible()
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeDisabled()
})

test('everybody who may upload repairs the newest version, also while an older one is the current version', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'loras/newest-repaired.safetensors'
  const newest = buildSafetensors(1_900)
  const { id } = await registerModel(registry, path)
  await registerModel(registry, path, { bytes: newest, replaces: id })
  await registry.call(registry.owner, 'POST', `/models/${id}/versions/1/activate`)
  await damageStoredFile(registry, id, 2, newest)
  await signIn(await registry.person('member'), '/upload')
  await dropModel(page, registry, path, newest)
  await expect(page.getByText('Repairs version 2 of “newest-repaired”.')).toBeVisible()
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  const rows = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem')
  await expect(rows.filter({ hasText: 'version 2 repaired' })).toBeVisible()
  const read = () => registry.call(registry.owner, 'GET', `/models/${id}/versions/2`)
  expect(await read()).toMatchObject({ verification: 'verified', version_status: 'replaced' })
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
