// Real agents in the machine view: they appear, download, hold removals and remove.

import type { Page } from '@playwright/test'
import { expect, withRegistry } from './fixtures'
import { startAgent } from './machines'
import { buildSafetensors, registerModel } from './modelFiles'

const test = withRegistry()

const MEBIBYTE = 1024 * 1024
// The test machine is shared, and an idle agent sends a heartbeat every half minute.
const LONG_TIMEOUT = { timeout: 60_000 }

function row(page: Page, id: string) {
  return page.getByRole('listitem').filter({ has: page.getByRole('link', { name: id, exact: true }) })
}

test('two real agents appear, show the progress of a download, and remove a disabled model', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/machines')
  await expect(page.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()
  // Slow enough that the progress bar is visible.
  const slow = { MODELYARD_AGENT_RATE_LIMIT: '1MB' }
  const [one, other] = await Promise.all(['render-01', 'render-02'].map((id) => startAgent(registry, id, slow)))
  for (const id of ['render-01', 'render-02']) await expect(row(page, id)).toBeVisible(LONG_TIMEOUT)

  const pushed = await registerModel(registry, 'loras/live.safetensors', { bytes: buildSafetensors(24 * MEBIBYTE) })
  const bar = row(page, 'render-01').getByRole('progressbar', { name: 'render-01: Downloading' })
  await expect(bar).toBeVisible(LONG_TIMEOUT)
  await expect(row(page, 'render-01')).toContainText('Downloads take at most 1.0 MB a second here.')
  const before = Number(await bar.getAttribute('aria-valuenow'))
  await expect(async () => expect(Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(before)).toPass(
    LONG_TIMEOUT,
  )
  for (const id of ['render-01', 'render-02']) await expect(row(page, id)).toContainText('1 of 1 ready', LONG_TIMEOUT)
  expect([one?.files(), other?.files()]).toEqual([['live.safetensors'], ['live.safetensors']])

  await registry.call(registry.owner, 'PUT', `/models/${pushed.id}`, { model_status: 'disabled' })
  for (const id of ['render-01', 'render-02'])
    await expect(row(page, id)).toContainText('No models desired', LONG_TIMEOUT)
  await expect(async () => expect([one?.files(), other?.files()]).toEqual([[], []])).toPass(LONG_TIMEOUT)
})

test('a held removal of many files is executed after an admin approves it', async ({ page, registry, signIn }) => {
  // Sign in once before the concurrent calls.
  await registry.call(registry.owner, 'GET', '/agents')
  const names = Array.from({ length: 11 }, (_, index) => `held-${index + 10}`)
  const models = await Promise.all(
    names.map((name) => registerModel(registry, `loras/${name}.safetensors`, { required_labels: ['holds'] })),
  )
  const machine = await startAgent(registry, 'holds-back', { MODELYARD_AGENT_LABELS: 'holds' })
  await signIn(registry.owner, '/machines?machine=holds-back')
  const drawer = page.getByRole('dialog')
  await expect(drawer).toContainText('11 of 11 ready', LONG_TIMEOUT)

  // Stopped, so that the agent sees all eleven removals in one manifest.
  await machine.stop()
  for (const model of models) {
    await registry.call(registry.owner, 'PUT', `/models/${model.id}`, { model_status: 'disabled' })
  }
  machine.start()
  const release = drawer.getByRole('button', { name: /Approve removal of 11 files/ })
  await expect(release).toBeVisible(LONG_TIMEOUT)
  expect(machine.files()).toHaveLength(11)
  await release.click()
  const question = page.getByRole('dialog', { name: 'Approve this removal?' })
  await expect(question).toContainText('Removed files stay in its trash for 24 hours')
  await question.getByRole('button', { name: 'Remove 11 files' }).click()
  await expect(release).toHaveCount(0, LONG_TIMEOUT)
  await expect(async () => expect(machine.files()).toEqual([])).toPass(LONG_TIMEOUT)
})
