// Real agents, seen from the page: they arrive, fetch, have, hold back, remove.

import type { Page } from '@playwright/test'
import { registered, safetensors } from './files'
import { runningAgent } from './machines'
import { expect, withRegistry } from './page'

const test = withRegistry()

const MEBIBYTE = 1024 * 1024
// The machine is shared, and an idle agent is heard of every half minute.
const PATIENT = { timeout: 60_000 }

test.describe.configure({ timeout: 240_000 })

function row(page: Page, id: string) {
  return page.getByRole('listitem').filter({ has: page.getByRole('link', { name: id, exact: true }) })
}

test('two agents arrive, fetch what is pushed while one looks, and let go of what is disabled', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/machines')
  await expect(page.getByRole('heading', { name: 'Bring in the first machine' })).toBeVisible()
  // Slow enough that the bar is seen on its way.
  const slow = { MODELYARD_AGENT_RATE_LIMIT: '1MB' }
  const [one, other] = await Promise.all(['render-01', 'render-02'].map((id) => runningAgent(registry, id, slow)))
  for (const id of ['render-01', 'render-02']) await expect(row(page, id)).toBeVisible(PATIENT)

  const pushed = await registered(registry, 'loras/live.safetensors', { bytes: safetensors(24 * MEBIBYTE) })
  const bar = row(page, 'render-01').getByRole('progressbar', { name: 'render-01: Fetches' })
  await expect(bar).toBeVisible(PATIENT)
  await expect(row(page, 'render-01')).toContainText('Downloads take at most 1.0 MB a second here.')
  const before = Number(await bar.getAttribute('aria-valuenow'))
  await expect(async () => expect(Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(before)).toPass(
    PATIENT,
  )
  for (const id of ['render-01', 'render-02']) await expect(row(page, id)).toContainText('1 of 1 ready', PATIENT)
  expect([one?.files(), other?.files()]).toEqual([['live.safetensors'], ['live.safetensors']])

  await registry.call(registry.owner, 'PUT', `/models/${pushed.id}`, { model_status: 'disabled' })
  for (const id of ['render-01', 'render-02']) await expect(row(page, id)).toContainText('No models wanted', PATIENT)
  await expect(async () => expect([one?.files(), other?.files()]).toEqual([[], []])).toPass(PATIENT)
})

test('a removal of many files is held until an admin releases it, and then it is done', async ({
  page,
  registry,
  signIn,
}) => {
  // One sign-in, and then all at once.
  await registry.call(registry.owner, 'GET', '/agents')
  const names = Array.from({ length: 11 }, (_, index) => `held-${index + 10}`)
  const models = await Promise.all(
    names.map((name) => registered(registry, `loras/${name}.safetensors`, { required_labels: ['holds'] })),
  )
  const machine = await runningAgent(registry, 'holds-back', { MODELYARD_AGENT_LABELS: 'holds' })
  await signIn(registry.owner, '/machines?machine=holds-back')
  const drawer = page.getByRole('dialog')
  await expect(drawer).toContainText('11 of 11 ready', PATIENT)

  // All eleven in one look of the machine, however fast it looks.
  await machine.stop()
  for (const model of models) {
    await registry.call(registry.owner, 'PUT', `/models/${model.id}`, { model_status: 'disabled' })
  }
  machine.start()
  const release = drawer.getByRole('button', { name: /Release the removal of 11 files/ })
  await expect(release).toBeVisible(PATIENT)
  expect(machine.files()).toHaveLength(11)
  await release.click()
  const question = page.getByRole('dialog', { name: 'Release this removal?' })
  await expect(question).toContainText('What it removes rests in its trash for 24 hours')
  await question.getByRole('button', { name: 'Remove 11 files' }).click()
  await expect(release).toHaveCount(0, PATIENT)
  await expect(async () => expect(machine.files()).toEqual([])).toPass(PATIENT)
})
