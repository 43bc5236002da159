// Uploads that are interrupted: by a reload, by the registry's end, by a person, by a session that ends.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { expect, started, withRegistry } from './page'
import type { Registry } from './registry'
import { answered, broughtBytes, drop, largeOnDisk, slowed } from './uploading'

const MEBIBYTE = 1024 * 1024
const PART = 5 * MEBIBYTE
const SETTINGS = { MODELYARD_PART_SIZE: String(PART), MODELYARD_SINGLE_PUT_LIMIT: String(PART) }

const test = withRegistry(started(SETTINGS))

interface Listed {
  model_list: { file_hash: string; verification: string }[]
}

/** Parts that the registry took, since there were so many. */
async function partsTaken(registry: Registry, since = 0): Promise<number> {
  const puts = await broughtBytes(registry)
  return puts.filter(({ status }) => status === 200).length - since
}

async function taken(registry: Registry, since: number, parts: number): Promise<void> {
  await expect
    .poll(() => partsTaken(registry, since), { timeout: 60_000, intervals: [50] })
    .toBeGreaterThanOrEqual(parts)
}

/** Drop a file and say yes. */
async function upload(page: Page, file: string, name: string): Promise<void> {
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible()
  await drop(page, file)
  await page.getByLabel(`Type of ${name}`).selectOption('loras')
  await page.getByRole('button', { name: /^Upload \d/ }).click()
}

async function expectWhole(page: Page, registry: Registry, file: string, name: string): Promise<void> {
  await expect(page.getByText(`Registered as models/loras/${name}`)).toBeVisible({ timeout: 120_000 })
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex')
  const found = await registry.call<Listed>(registry.owner, 'GET', `/models?q=${name}`)
  expect(found.model_list).toMatchObject([{ file_hash: `sha256:${hash}`, verification: 'verified' }])
}

test('300 MB go on after a reload from the parts that the store has', async ({ page, registry, signIn }) => {
  test.setTimeout(240_000)
  const file = largeOnDisk(registry, 'large.safetensors', 300_000_000)
  const asked: string[] = []
  page.on('dialog', (dialog) => {
    asked.push(dialog.type())
    void dialog.accept()
  })
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 20_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'large.safetensors')
  await taken(registry, before, 10)
  await network.hold()
  await page.reload()
  expect(asked).toEqual(['beforeunload'])
  await expect(page.getByText(/have arrived; begun/)).toBeVisible()
  const choosing = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Pick the file again to go on' }).click()
  await (await choosing).setFiles(file)
  await network.letGo()
  await expectWhole(page, registry, file, 'large.safetensors')
  // Nothing that had arrived was sent again.
  expect(await partsTaken(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('a registry that is killed and comes back is waited for', async ({ page, registry, signIn }) => {
  test.setTimeout(180_000)
  const file = largeOnDisk(registry, 'killed.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 5_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'killed.safetensors')
  await taken(registry, before, 3)
  await network.hold()
  await registry.kill()
  await expect(page.getByText('The registry does not answer. Trying again')).toBeVisible()
  await registry.start(SETTINGS)
  await network.letGo()
  await expectWhole(page, registry, file, 'killed.safetensors')
})

test('a pause sends nothing, in any view, and what had arrived stays', async ({ page, registry, signIn }) => {
  test.setTimeout(180_000)
  const file = largeOnDisk(registry, 'paused.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 5_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'paused.safetensors')
  await taken(registry, before, 3)
  await network.hold()
  await page.getByRole('button', { name: 'Pause paused.safetensors' }).click()
  await expect(page.getByText('Paused at')).toBeVisible()
  await page.getByRole('link', { name: 'Models' }).click()
  await page.getByRole('link', { name: /^Uploads: \d+ %/ }).click()
  await expect(page.getByText('Paused at')).toBeVisible()
  await network.letGo()
  await page.getByRole('button', { name: 'Go on with paused.safetensors' }).click()
  await page.getByRole('link', { name: 'Models' }).click()
  await expect(page.getByRole('status', { name: 'Uploads' })).toContainText('1 of 1 file uploaded', { timeout: 60_000 })
  await page.getByRole('navigation').getByRole('link', { name: 'Upload', exact: true }).click()
  await expectWhole(page, registry, file, 'paused.safetensors')
  expect(await partsTaken(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('what is cancelled by mistake comes back, and what is given up is gone', async ({ page, registry, signIn }) => {
  const file = largeOnDisk(registry, 'cancelled.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 5_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'cancelled.safetensors')
  await taken(registry, before, 1)
  await network.hold()
  await page.getByRole('button', { name: 'Cancel cancelled.safetensors' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('button', { name: 'Pause cancelled.safetensors' })).toBeVisible()
  page.on('dialog', (dialog) => void dialog.accept())
  await page.reload()
  await page.getByRole('button', { name: 'Give up' }).click()
  await expect(page.getByText(/have arrived; begun/)).toHaveCount(0)
  expect(
    (await answered(registry)).filter(({ path, status }) => path?.endsWith('/abort') && status === 204),
  ).toHaveLength(1)
})

test('a session that ends in the middle is signed in again, and the upload goes on', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  test.setTimeout(180_000)
  const file = largeOnDisk(registry, 'signed-out.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 5_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'signed-out.safetensors')
  await taken(registry, before, 2)
  await network.hold()
  const other = await context.newPage()
  await other.goto(registry.url)
  await other.getByRole('button', { name: 'Your account' }).click()
  await other.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await network.letGo()
  await page.getByLabel('E-mail').fill(registry.owner.email)
  await page.getByLabel(/^Password/).fill(registry.owner.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expectWhole(page, registry, file, 'signed-out.safetensors')
})

test('a second tab waits for the first one instead of sending the same file', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  test.setTimeout(180_000)
  const file = largeOnDisk(registry, 'tabs.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await slowed(page, 5_000_000)
  const before = await partsTaken(registry)
  await upload(page, file, 'tabs.safetensors')
  await taken(registry, before, 1)
  await network.hold()
  const other = await context.newPage()
  await other.goto(`${registry.url}/upload`)
  await upload(other, file, 'tabs.safetensors')
  await expect(other.getByText('Another tab is sending this file.')).toBeVisible()
  await network.letGo()
  await expectWhole(page, registry, file, 'tabs.safetensors')
  await expect(other.getByText('Here already: models/loras/tabs.safetensors')).toBeVisible({ timeout: 30_000 })
  expect(await partsTaken(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('a lost answer to the registration costs nothing', async ({ page, registry, signIn }) => {
  const file = largeOnDisk(registry, 'lost.safetensors', 1_000_000)
  await signIn(registry.owner, '/upload')
  let lost = 0
  await page.route('**/api/v1/models', async (route) => {
    if (route.request().method() !== 'POST' || lost > 0) return route.continue()
    lost += 1
    await route.fetch()
    await route.abort()
  })
  await upload(page, file, 'lost.safetensors')
  await expectWhole(page, registry, file, 'lost.safetensors')
  expect(lost).toBe(1)
})
