// Roll-outs of a collection in the page: starting, approving, a canary that fails, and rolling back.

import { join } from 'node:path'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'
import { Machine, type ReportedModel } from './reportingMachine'

const test = withRegistry()

const SCREENS = join(import.meta.dirname, '../results/screens')

interface Campaign {
  id: string
  models: string[]
  canary: Machine
  other: Machine
}

/** Create a held collection with two versions, to which a canary and another machine are subscribed. */
async function createCampaign(registry: Registry, name: string): Promise<Campaign> {
  const models: string[] = []
  for (const number of [1, 2]) {
    const { id } = await registerModel(registry, `loras/${name}-${number}.safetensors`, {
      required_labels: ['nowhere'],
    })
    const read = () => registry.call<{ verification: string }>(registry.owner, 'GET', `/models/${id}`)
    await expect.poll(read).toMatchObject({ verification: 'verified' })
    models.push(id)
  }
  const [canary, other] = [await Machine.create(registry, `${name}-a`), await Machine.create(registry, `${name}-b`)]
  const call = (method: string, path: string, body: object) =>
    registry.call<{ id: string }>(registry.owner, method, path, body)
  await call('PUT', `/agents/${name}-a`, { agent_labels: [`${name}-canary`] })
  const list = (ids: string[]) => ids.map((model_id) => ({ model_id }))
  const { id } = await call('POST', '/collections', { name, model_list: list(models.slice(0, 1)) })
  for (const agent_id of [`${name}-a`, `${name}-b`])
    await call('POST', `/collections/${id}/subscriptions`, { agent_id })
  await call('PUT', `/collections/${id}`, { is_held: true })
  await call('POST', `/collections/${id}/versions`, { model_list: list(models) })
  return { id, models, canary, other }
}

const report = (models: string[], fields: Partial<ReportedModel> = {}): ReportedModel[] =>
  models.map((model_id) => ({ model_id, state: 'ready', ...fields }))

test('a version goes to canaries, and after an approval to all machines', async ({ page, registry, signIn }) => {
  const { id, models, canary, other } = await createCampaign(registry, 'approved')
  await signIn(registry.owner, `/collections/${id}`)
  const panel = page.getByRole('region', { name: 'Roll-out' })
  await expect(panel).toContainText('by a roll-out only')
  await panel.getByRole('button', { name: 'Roll out…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Roll out a version' })
  await dialog.getByLabel('Canary label').fill('approved-canary')
  // Leaves the field, so that its suggestions close.
  await page.keyboard.press('Tab')
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Roll out', exact: true }).click()
  await expect(dialog).toBeHidden()
  await expect(panel).toContainText('Version 2: On canaries')
  const machines = panel.getByRole('table', { name: 'Machines of the roll-out' })
  await expect(machines).toContainText('approved-a canary')
  await expectAccessible(page)
  await page.screenshot({ path: join(SCREENS, 'rollout-canary.png'), fullPage: true })

  await canary.report(report(models))
  await expect(panel).toContainText('Version 2: Waiting for approval')
  await panel.getByRole('button', { name: 'Approve' }).click()
  await expect(panel).toContainText('Version 2: On all machines')
  await other.report(report(models))
  await expect(panel).toContainText('Version 2: Finished')
})

test('a canary that fails stops the roll-out with its reason, which can be rolled back', async ({
  page,
  registry,
  signIn,
}) => {
  const { id, models, canary } = await createCampaign(registry, 'failing')
  const start = { version: 2, canary_label: 'failing-canary' }
  await registry.call(registry.owner, 'POST', `/collections/${id}/rollouts`, start)
  await canary.report(report(models, { state: 'conflict', reason: 'A file of yours has this name.' }))
  await signIn(registry.owner, `/collections/${id}`)
  const panel = page.getByRole('region', { name: 'Roll-out' })
  await expect(panel).toContainText('Version 2: Failed', { timeout: 100_000 })
  await expect(panel).toContainText('A file of yours has this name.')
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 })
    await expectAccessible(page)
    await expectNoHorizontalScroll(page)
    await page.screenshot({ path: join(SCREENS, `rollout-failed-${width}.png`), fullPage: true })
  }
  await panel.getByRole('button', { name: 'Roll back to version 1' }).click()
  await expect(panel).toContainText('Version 2: Rolled back')
})

test('a roll-out whose canaries are gone goes on without them after a question', async ({ page, registry, signIn }) => {
  const { id, models, other } = await createCampaign(registry, 'skipped')
  const start = { version: 2, canary_label: 'skipped-canary' }
  await registry.call(registry.owner, 'POST', `/collections/${id}/rollouts`, start)
  await registry.call(registry.owner, 'PUT', '/agents/skipped-a', { agent_labels: [] })
  await signIn(registry.owner, `/collections/${id}`)
  const panel = page.getByRole('region', { name: 'Roll-out' })
  await expect(panel.getByRole('button', { name: 'Approve' })).toHaveCount(0)
  await panel.getByRole('button', { name: 'Go on without canaries…' }).click({ timeout: 30_000 })
  const question = page.getByRole('dialog', { name: 'Go on without canaries?' })
  await expect(question).toContainText('No subscribed machine has the label of the canaries any more.')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Send to all machines' }).click()
  await expect(panel).toContainText('Version 2: On all machines')
  await expect(panel.getByRole('button', { name: 'Go on without canaries…' })).toHaveCount(0)
  await other.report(report(models))
  await expect(panel).toContainText('skipped-a')
  await page.goto(`${registry.url}/team/history`)
  await expect(page.getByText('without canaries, since no subscribed machine had their label')).toBeVisible()
})

test('a viewer sees a roll-out and cannot change it', async ({ page, registry, signIn }) => {
  const { id } = await createCampaign(registry, 'viewed')
  await registry.call(registry.owner, 'POST', `/collections/${id}/rollouts`, {
    version: 2,
    canary_label: 'viewed-canary',
  })
  await signIn(await registry.person('viewer'), `/collections/${id}`)
  const panel = page.getByRole('region', { name: 'Roll-out' })
  await expect(panel).toContainText('Version 2: On canaries')
  await expect(panel.getByRole('button')).toHaveCount(0)
})
