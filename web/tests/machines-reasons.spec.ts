// What a machine says beside its state: how far it is, and why it or a model on it does not go on.

import { expect, withRegistry } from './fixtures'
import { ReportingMachine, setLastHeartbeat } from './machines'
import { registerModel } from './modelFiles'

const test = withRegistry()

test('a machine that syncs says how many models it has until bytes have come, and never 0 B', async ({
  page,
  registry,
  signIn,
}) => {
  const ready = await registerModel(registry, 'loras/zero-ready.safetensors', { required_labels: ['zero'] })
  const next = await registerModel(registry, 'loras/zero-next.safetensors', { required_labels: ['zero'] })
  const machine = await ReportingMachine.create(registry, 'zero', {}, ['zero'])
  const report = (done: number) =>
    machine.report(
      { agent_status: 'syncing', sync_phase: 'downloading', sync_bytes_done: done, sync_bytes_total: 9_000_000 },
      [
        { model_id: ready.id, state: 'ready' },
        { model_id: next.id, state: 'downloading', bytes_done: 0 },
      ],
    )
  await report(0)
  await registry.call(registry.owner, 'PUT', '/agents/zero', { disk_budget_bytes: 5_000_000_000 })
  await signIn(registry.owner, '/machines?machine=zero')
  const details = page.getByRole('dialog')
  await expect(details).toContainText('Syncing, 1 of 2 models')
  await expect(details).toContainText('Downloading')
  await expect(page.getByRole('main')).toContainText('Syncing, 1 of 2 models')
  // The registry itself may store nothing.
  await expect(page.getByRole('list', { name: 'Machines' })).not.toContainText(/\b0 B/)
  await expect(details).not.toContainText(/\b0 B/)
  await report(4_500_000)
  await expect(details).toContainText('Syncing, 4.5 MB of 9.0 MB')
})

test('the page of a model says why machines that are offline or idle do not have it', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/why-not.safetensors', { required_labels: ['why-not'] })
  await ReportingMachine.create(registry, 'why-gone', { agent_status: 'idle' }, ['why-not'])
  setLastHeartbeat(registry, 'why-gone', 3600)
  await ReportingMachine.create(registry, 'why-idle', { agent_status: 'idle' }, ['why-not'])
  await ReportingMachine.create(registry, 'why-night', { waiting_for: 'Downloads start at 22:00.' }, ['why-not'])
  await signIn(registry.owner, `/models/${id}`)
  const machines = page.getByRole('list', { name: 'Machines of the model' }).getByRole('listitem')
  const why = (name: string) => machines.filter({ hasText: name })
  await expect(why('why-gone')).toContainText('The machine is offline. No heartbeats arrive')
  await expect(why('why-idle')).toContainText('Starts within about a minute.')
  await expect(why('why-night')).toContainText('The machine waits: Downloads start at 22:00.')
  await page.goto(`${registry.url}/machines?view=matrix`)
  await expect(
    page.getByRole('link', { name: /^why-gone, offline, last heartbeat .+\. No heartbeats arrive: / }),
  ).toBeVisible()
  await expect(page.getByRole('link', { name: /^why-idle, waiting\. 1 model is queued\. / })).toBeVisible()
})

test('the details of a machine say once why its models do not come, and not what they waited for before', async ({
  page,
  registry,
  signIn,
}) => {
  const required_labels = ['once']
  const first = await registerModel(registry, 'loras/once-first.safetensors', { required_labels })
  await registerModel(registry, 'loras/once-second.safetensors', { required_labels })
  const machine = await ReportingMachine.create(registry, 'once', {}, ['once'])
  await signIn(registry.owner, '/machines?machine=once')
  const details = page.getByRole('dialog')
  await expect(details.getByText('once-second', { exact: true })).toBeVisible()
  await expect(details.getByText(/Starts within about a minute/)).toHaveCount(1)
  const reason = 'The store does not answer.'
  await machine.report({}, [{ model_id: first.id, state: 'downloading', reason }])
  await expect(details.getByText(reason)).toBeVisible()
  setLastHeartbeat(registry, 'once', 3600)
  await expect(details.getByText('Offline, last heartbeat 1 hour ago')).toBeVisible()
  await expect(details.getByText(/No heartbeats arrive/)).toHaveCount(1)
  await expect(details.getByText(reason)).toHaveCount(0)
})

test('a machine whose agent was stopped says once what it reported last', async ({ page, registry, signIn }) => {
  await registerModel(registry, 'loras/stopped.safetensors', { required_labels: ['stopped'] })
  const machine = await ReportingMachine.create(registry, 'stopped', {}, ['stopped'])
  await machine.report({ is_stopping: true, problem: '1 file cannot be removed. Run `chmod` first.' })
  await signIn(registry.owner, '/machines?machine=stopped')
  for (const place of [page.getByRole('dialog'), page.getByRole('listitem').filter({ hasText: 'stopped' })]) {
    await expect(place.getByText(/The agent was stopped\..+ 1 file cannot be removed\./)).toHaveCount(1)
    await expect(place.locator('code', { hasText: 'chmod' })).toHaveCount(1)
    await expect(place.getByText('The agent was stopped')).toHaveCount(1)
  }
})

test('held removals are said once, also if the machine reports that it waits for them', async ({
  page,
  registry,
  signIn,
}) => {
  const held = { removal_waiting: 1200, removal_token: 'a'.repeat(64) }
  const waiting_for = 'So many files are removed only if you approve it: with `modelyard agent approve`.'
  await ReportingMachine.create(registry, 'holds-once', { ...held, waiting_for })
  await signIn(registry.owner, '/machines?machine=holds-once')
  for (const place of [page.getByRole('dialog'), page.getByRole('listitem').filter({ hasText: 'holds-once' })]) {
    await expect(place.getByText('The removal of 1200 files waits for approval by an admin.')).toHaveCount(1)
    await expect(place.getByText('only if you approve it')).toHaveCount(0)
  }
  await page.screenshot({ path: 'results/screenshots/held-once.png' })
})

test('a paused machine does not say what it waited for before, and commands in reasons are shown as code', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'loras/resting.safetensors', { required_labels: ['resting'] })
  const waiting_for = 'Another agent runs: stop it with `modelyard agent stop`.'
  await ReportingMachine.create(registry, 'resting', { waiting_for, agent_build: 'abc1234' }, ['resting'])
  await signIn(registry.owner, '/machines?machine=resting')
  const details = page.getByRole('dialog')
  await expect(details.locator('code', { hasText: 'modelyard agent stop' }).first()).toBeVisible()
  await expect(details).not.toContainText('`')
  await expect(details).toContainText('(abc1234)')
  await expect(page.getByRole('list', { name: 'Machines' })).not.toContainText('abc1234')
  await details.getByRole('button', { name: 'Pause' }).click()
  await expect(details.getByText('Paused', { exact: true })).toBeVisible()
  await expect(details).not.toContainText('Another agent runs')
})

test('a model keeps its reason while its machine syncs for the same one, and its state is one word on a phone', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/stalls.safetensors', { required_labels: ['stalls'] })
  const machine = await ReportingMachine.create(registry, 'stalls', {}, ['stalls'])
  const reason = 'The store is slow.'
  const syncing = { agent_status: 'syncing', sync_phase: 'downloading', waiting_for: reason }
  await machine.report(syncing, [{ model_id: id, state: 'downloading', reason }])
  await signIn(registry.owner, '/machines?machine=stalls')
  const models = page.getByRole('dialog').getByRole('table', { name: 'Models on stalls' })
  await expect(models.getByText(reason)).toBeVisible()
  await page.setViewportSize({ width: 380, height: 800 })
  const countLines = (text: Element) => {
    const range = document.createRange()
    range.selectNodeContents(text)
    return range.getClientRects().length
  }
  expect(await models.getByText('Downloading', { exact: true }).evaluate(countLines)).toBe(1)
  await page.screenshot({ path: 'results/screenshots/machine-narrow.png' })
})

test('the details of a machine name its key to admins only', async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'has-key')
  await signIn(registry.owner, '/machines?machine=has-key')
  const details = page.getByRole('dialog')
  await expect(details).toContainText(/Keyreporter, ak-.{8}…/)
  const other = await page.context().browser()?.newPage({ baseURL: registry.url })
  if (!other) throw new Error('no browser')
  await signIn(await registry.person('viewer'), '/machines?machine=has-key', other)
  await expect(other.getByRole('dialog')).toContainText('Last heartbeat')
  await expect(other.getByRole('dialog')).not.toContainText('ak-')
  await other.close()
})
