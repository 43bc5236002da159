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
  await expect(why('why-idle')).toContainText('The agent begins within about a minute.')
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
  await expect(details.getByText(/The agent begins within about a minute/)).toHaveCount(1)
  const reason = 'The store does not answer.'
  await machine.report({}, [{ model_id: first.id, state: 'downloading', reason }])
  await expect(details.getByText(reason)).toBeVisible()
  setLastHeartbeat(registry, 'once', 3600)
  await expect(details.getByText('Offline, last heartbeat 1 hour ago')).toBeVisible()
  await expect(details.getByText(/No heartbeats arrive/)).toHaveCount(1)
  await expect(details.getByText(reason)).toHaveCount(0)
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
