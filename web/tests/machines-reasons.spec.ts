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
  await expect(why('why-idle')).toContainText('The agent begins once it knows its new desired models, within about a minute.')
  await expect(why('why-night')).toContainText('The machine waits: Downloads start at 22:00.')
  await page.goto(`${registry.url}/machines?view=matrix`)
  await expect(page.getByRole('link', { name: /^why-gone, offline\. No heartbeats arrive: / })).toBeVisible()
  await expect(page.getByRole('link', { name: /^why-idle, waiting\. 1 model is queued\. / })).toBeVisible()
})
