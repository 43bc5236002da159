// Versions that are being verified or failed. The registry verifies nothing until a test restarts it with workers.

import { expect, expectAccessible, startRegistry, withRegistry } from './fixtures'
import { buildExpensiveSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'
import { dropModel, expectUploaded } from './uploadActions'

const WITHOUT_WORKERS = { MODELYARD_VERIFICATION_WORKERS: '0' }

const test = withRegistry(startRegistry(WITHOUT_WORKERS))

/** Restart the registry with verification workers, or without. */
async function restart(registry: Registry, settings: Record<string, string> = {}): Promise<void> {
  await registry.stop()
  await registry.start(settings)
}

test.beforeEach(async ({ registry }) => restart(registry, WITHOUT_WORKERS))

test('a version that is being verified is marked, and becomes the current one once it is verified', async ({
  page,
  registry,
  signIn,
}) => {
  const path = 'loras/pending.safetensors'
  const { id } = await registerModel(registry, path)
  await registerModel(registry, path, { bytes: buildExpensiveSafetensors(), replaces: id })
  await signIn(registry.owner, '/models?q=pending')
  await expect(page.getByRole('row').getByRole('img', { name: 'Version 2 is being verified' })).toBeVisible()
  await page.getByRole('link', { name: 'pending' }).click()
  const details = page.getByRole('dialog')
  await expect(details.getByText('Machines keep version 1 until it is verified.')).toBeVisible()
  const rows = details.getByRole('list', { name: 'Versions' }).getByRole('listitem')
  await expect(rows.nth(0)).toContainText('Current')
  await expect(rows.nth(1)).toContainText('Being verified')
  await expect(rows.nth(1).getByRole('button', { name: /^Activate/ })).toHaveCount(0)
  await expectAccessible(page)
  await page.screenshot({ path: 'results/screenshots/versions-pending.png' })
  await restart(registry)
  await expect(rows.nth(0)).toContainText('v2', { timeout: 60_000 })
  await expect(rows.nth(0)).toContainText('Current')
  await expect(rows.nth(1)).toContainText('Replaced')
})

test('a version that failed shows its reason until the next version', async ({ page, registry, signIn }) => {
  const path = 'loras/broken.safetensors'
  const { id } = await registerModel(registry, path)
  const bytes = Buffer.concat([buildExpensiveSafetensors(), Buffer.from('more')])
  await registerModel(registry, path, { bytes, replaces: id })
  await restart(registry)
  await signIn(registry.owner, '/models?q=broken')
  await expect(page.getByRole('row').getByRole('img', { name: 'Version 2 failed verification' })).toBeVisible()
  await page.getByRole('link', { name: 'broken' }).click()
  const details = page.getByRole('dialog')
  const failed = details.getByRole('listitem', { name: 'Version 2' })
  await expect(failed).toContainText('Verification failed')
  await expect(failed).toContainText('4 bytes follow')
  await expect(details.getByRole('alert')).toContainText('Machines keep version 1.')
  await expectAccessible(page)
  await registerModel(registry, path, { replaces: id })
  await expect(details.getByRole('listitem', { name: 'Version 3' })).toContainText('Current', { timeout: 30_000 })
  await expect(failed).toContainText('Verification failed')
  await expect(failed).not.toContainText('4 bytes follow')
})

test('the upload of a new version waits until that version is verified', async ({ page, registry, signIn }) => {
  const path = 'models/loras/waits.safetensors'
  await registerModel(registry, path)
  await signIn(registry.owner, '/upload')
  await dropModel(page, registry, 'loras/waits.safetensors', buildExpensiveSafetensors())
  await page.getByRole('button', { name: 'Upload as version 2' }).click()
  const checked = page.waitForResponse(/\/versions\/2$/)
  await page.getByRole('button', { name: /^Upload \d/ }).click()
  await checked
  await expect(page.getByRole('listitem', { name: 'waits' })).toContainText('Verifying version 2')
  await restart(registry)
  await expect(await expectUploaded(page, path, 60_000)).toContainText('version 2')
})
