// Uploads interrupted by a reload, a killed registry, the user, or the end of the session.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { expect, startRegistry, withRegistry } from './fixtures'
import type { Registry } from './registry'
import {
  drop,
  expectUploaded,
  limitUploadRate,
  listBlobUploads,
  readRequestLog,
  writeLargeModelFile,
} from './uploadActions'

const MEBIBYTE = 1024 * 1024
const PART = 5 * MEBIBYTE
const SETTINGS = { MODELYARD_PART_SIZE: String(PART), MODELYARD_SINGLE_PUT_LIMIT: String(PART) }

const test = withRegistry(startRegistry(SETTINGS))

interface Listed {
  model_list: { file_hash: string; verification: string }[]
}

/** Return how many parts the registry has stored, less `since`. */
async function countStoredParts(registry: Registry, since = 0): Promise<number> {
  const puts = await listBlobUploads(registry)
  return puts.filter(({ status }) => status === 200).length - since
}

async function waitForStoredParts(registry: Registry, since: number, parts: number): Promise<void> {
  await expect
    .poll(() => countStoredParts(registry, since), { timeout: 60_000, intervals: [50] })
    .toBeGreaterThanOrEqual(parts)
}

/** Drop a file, select its type and start the upload. */
async function upload(page: Page, file: string, name: string): Promise<void> {
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible()
  await drop(page, file)
  await page.getByLabel(`Type of ${name}`).selectOption('loras')
  await page.getByRole('button', { name: /^Upload \d/ }).click()
}

async function expectRegistered(page: Page, registry: Registry, file: string, name: string): Promise<void> {
  await expectUploaded(page, `models/loras/${name}`, 120_000)
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex')
  const found = await registry.call<Listed>(registry.owner, 'GET', `/models?q=${name}`)
  expect(found.model_list).toMatchObject([{ file_hash: `sha256:${hash}`, verification: 'verified' }])
}

test('an upload of 300 MB resumes after the page was reloaded and sends no stored part again', async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeLargeModelFile(registry, 'large.safetensors', 300_000_000)
  const asked: string[] = []
  page.on('dialog', (dialog) => {
    asked.push(dialog.type())
    void dialog.accept()
  })
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 20_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'large.safetensors')
  await waitForStoredParts(registry, before, 10)
  await network.pause()
  await page.reload()
  expect(asked).toEqual(['beforeunload'])
  await expect(page.getByText(/^\d+ % stored: .* are uploaded; started/)).toBeVisible()
  const choosing = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Select file to resume' }).click()
  await (await choosing).setFiles(file)
  await network.resume()
  await expect(page.getByText(/^\d+ % already stored; continuing/)).toBeVisible()
  await expectRegistered(page, registry, file, 'large.safetensors')
  // No stored part was sent again.
  expect(await countStoredParts(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('an upload continues after the registry was killed and restarted', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeLargeModelFile(registry, 'killed.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'killed.safetensors')
  await waitForStoredParts(registry, before, 3)
  await network.pause()
  await registry.kill()
  await expect(page.getByText('The registry does not answer. Retrying')).toBeVisible()
  await registry.start(SETTINGS)
  await network.resume()
  await expectRegistered(page, registry, file, 'killed.safetensors')
})

test('a paused upload stays paused in other views and resumes without sending a part again', async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeLargeModelFile(registry, 'paused.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'paused.safetensors')
  await waitForStoredParts(registry, before, 3)
  await network.pause()
  await page.getByRole('button', { name: 'Pause paused.safetensors' }).click()
  await expect(page.getByText('Paused at')).toBeVisible()
  await page.getByRole('link', { name: 'Models' }).click()
  await page.getByRole('link', { name: /^Uploads: \d+ %/ }).click()
  await expect(page.getByText('Paused at')).toBeVisible()
  await network.resume()
  await page.getByRole('button', { name: 'Resume paused.safetensors' }).click()
  await page.getByRole('link', { name: 'Models' }).click()
  await expect(page.getByRole('status', { name: 'Uploads' })).toContainText('1 of 1 file uploaded', { timeout: 60_000 })
  await page.getByRole('navigation').getByRole('link', { name: 'Uploads', exact: true }).click()
  await expectRegistered(page, registry, file, 'paused.safetensors')
  expect(await countStoredParts(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('a cancelled upload is restored by undo, and a discarded one is aborted in the store', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeLargeModelFile(registry, 'cancelled.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'cancelled.safetensors')
  await waitForStoredParts(registry, before, 1)
  await network.pause()
  await page.getByRole('button', { name: 'Cancel cancelled.safetensors' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(page.getByRole('button', { name: 'Pause cancelled.safetensors' })).toBeVisible()
  page.on('dialog', (dialog) => void dialog.accept())
  await page.reload()
  await page.getByRole('button', { name: 'Discard upload' }).click()
  await expect(page.getByText(/are uploaded; started/)).toHaveCount(0)
  expect(
    (await readRequestLog(registry)).filter(({ path, status }) => path?.endsWith('/abort') && status === 204),
  ).toHaveLength(1)
})

async function signOutInOtherTab(page: Page, registry: Registry): Promise<void> {
  const other = await page.context().newPage()
  await other.goto(registry.url)
  await other.getByRole('button', { name: 'Your account' }).click()
  await other.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
}

async function signInAgain(page: Page, registry: Registry): Promise<void> {
  await page.getByLabel('E-mail').fill(registry.owner.email)
  await page.getByLabel(/^Password/).fill(registry.owner.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

test('an upload continues after the session ended and the user signed in again', async ({ page, registry, signIn }) => {
  const file = writeLargeModelFile(registry, 'signed-out.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'signed-out.safetensors')
  await waitForStoredParts(registry, before, 2)
  await network.pause()
  await signOutInOtherTab(page, registry)
  await network.resume()
  await signInAgain(page, registry)
  await expectRegistered(page, registry, file, 'signed-out.safetensors')
})

test('a late refusal of the ended session does not end that of a sign-in meanwhile', async ({
  page,
  registry,
  signIn,
}) => {
  const file = writeLargeModelFile(registry, 'refused-late.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'refused-late.safetensors')
  await waitForStoredParts(registry, before, 1)
  await network.pause()
  await signOutInOtherTab(page, registry)
  const signedIn = page.waitForResponse('**/api/v1/auth/login')
  const refusals: string[] = []
  // The page asks twice. The second refusal arrives after the sign-in, and before the user is loaded.
  await page.route('**/api/v1/auth/refresh', async (route) => {
    const answer = await route.fetch()
    refusals.push(`${answer.status()}`)
    if (refusals.length === 3) await signedIn
    await route.fulfill({ response: answer })
    refusals.push('delivered')
  })
  await page.route('**/api/v1/users/me', async (route) => {
    await expect.poll(() => refusals).toEqual(['401', 'delivered', '401', 'delivered'])
    await route.continue()
  })
  await network.resume()
  await expect.poll(() => refusals).toEqual(['401', 'delivered', '401'])
  await signInAgain(page, registry)
  await expectRegistered(page, registry, file, 'refused-late.safetensors')
})

test('a second tab waits for the first one that uploads the same file', async ({ page, registry, signIn, context }) => {
  const file = writeLargeModelFile(registry, 'tabs.safetensors', 60_000_000)
  await signIn(registry.owner, '/upload')
  const network = await limitUploadRate(page, 5_000_000)
  const before = await countStoredParts(registry)
  await upload(page, file, 'tabs.safetensors')
  await waitForStoredParts(registry, before, 1)
  await network.pause()
  const other = await context.newPage()
  await other.goto(`${registry.url}/upload`)
  await upload(other, file, 'tabs.safetensors')
  await expect(other.getByText('Another tab is uploading this file.')).toBeVisible()
  await network.resume()
  await expectRegistered(page, registry, file, 'tabs.safetensors')
  const known = await expectUploaded(other, 'models/loras/tabs.safetensors', 30_000)
  await expect(known).toContainText('already in the registry')
  expect(await countStoredParts(registry, before)).toBe(Math.ceil(readFileSync(file).length / PART))
})

test('an upload succeeds when the response to its registration is lost', async ({ page, registry, signIn }) => {
  const file = writeLargeModelFile(registry, 'lost.safetensors', 1_000_000)
  await signIn(registry.owner, '/upload')
  let lost = 0
  await page.route('**/api/v1/models', async (route) => {
    if (route.request().method() !== 'POST' || lost > 0) return route.continue()
    lost += 1
    await route.fetch()
    await route.abort()
  })
  await upload(page, file, 'lost.safetensors')
  await expectRegistered(page, registry, file, 'lost.safetensors')
  expect(lost).toBe(1)
})
