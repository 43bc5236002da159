// The machine list and the machine drawer, with machines that report given states.

import type { Page } from '@playwright/test'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { ReportingMachine, setLastHeartbeat } from './machines'
import { registerModel } from './modelFiles'

const test = withRegistry()

const GB = 1_000_000_000

function row(page: Page, id: string) {
  return page
    .getByRole('list', { name: 'Machines' })
    .getByRole('listitem')
    .filter({ has: page.getByRole('link', { name: id, exact: true }) })
}

function drawer(page: Page) {
  return page.getByRole('dialog')
}

test('a machine row shows status, progress, disk usage, labels and what it waits for', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(
    registry,
    'says-all',
    {
      agent_status: 'syncing',
      sync_phase: 'downloading',
      sync_detail: 'ink.safetensors',
      sync_percent: 40,
      disk_free: 900 * GB,
      disk_budget: 500 * GB,
      bytes_held: 410 * GB,
      waiting_for: 'Downloads take at most 20 MB a second here.',
      comfyui_version: '0.3.64',
      platform_arch: 'linux-x86_64',
    },
    ['gpu24'],
  )
  await registry.call(registry.owner, 'PUT', '/agents/says-all', { agent_labels: ['night'] })
  await signIn(registry.owner, '/machines')
  const machine = row(page, 'says-all')
  await expect(machine).toContainText('Syncing')
  await expect(machine).toContainText('Downloading ink.safetensors')
  await expect(machine.getByRole('progressbar', { name: 'says-all: Downloading' })).toHaveAttribute(
    'aria-valuenow',
    '40',
  )
  await expect(machine.getByRole('progressbar', { name: /Disk budget used/ })).toHaveAttribute('aria-valuenow', '82')
  await expect(machine).toContainText('410 GB of 500 GB, 900 GB free')
  await expect(machine).toContainText('Downloads take at most 20 MB a second here.')
  await expect(machine).toContainText('modelyard 0.3.0 · ComfyUI 0.3.64 · linux-x86_64')
  await expect(machine.getByTitle('Label set on the machine')).toHaveText('gpu24')
  await expect(machine.getByTitle('Label set by the team')).toHaveText('night')
})

test('the machine list updates without a reload and does not redraw unchanged rows', async ({
  page,
  registry,
  signIn,
}) => {
  const [moving] = await Promise.all([
    ReportingMachine.create(registry, 'news'),
    ReportingMachine.create(registry, 'quiet'),
  ])
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'news')).toContainText('Up to date')
  await row(page, 'quiet').evaluate((element) => {
    const seen = window as unknown as { drawn: number }
    seen.drawn = 0
    new MutationObserver(() => (seen.drawn += 1)).observe(element, { subtree: true, childList: true, attributes: true })
  })
  const unchanged = page.waitForResponse((answer) => answer.url().includes('/agents?') && answer.status() === 304)
  await moving.report({ agent_status: 'busy' })
  await expect(row(page, 'news')).toContainText('Busy')
  await unchanged
  await ReportingMachine.create(registry, 'zz-came-later')
  await expect(row(page, 'zz-came-later')).toBeVisible()
  expect(await page.evaluate(() => (window as unknown as { drawn: number }).drawn)).toBe(0)
})

test('a machine without a heartbeat for five minutes is shown as unhealthy with the time of the last one', async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(registry, 'gone-dark', {
    agent_status: 'syncing',
    sync_phase: 'downloading',
    sync_percent: 10,
  })
  setLastHeartbeat(registry, 'gone-dark', 300)
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'gone-dark')).toContainText('Offline')
  await expect(row(page, 'gone-dark')).toContainText('last heartbeat 5 minutes ago')
  await expect(row(page, 'gone-dark').getByRole('progressbar', { name: /Downloading/ })).toHaveCount(0)
})

test('a machine row shows the reason of a problem on one line, and the machine itself all of it', async ({
  page,
  registry,
  signIn,
}) => {
  const reason = `Another file has this path: ${'loras/a-long-folder/'.repeat(8)}ink.safetensors.`
  const model = await registerModel(registry, 'loras/why-row.safetensors', { required_labels: ['why'] })
  const machine = await ReportingMachine.create(registry, 'why-machine', {}, ['why'])
  await machine.report({}, [{ model_id: model.id, state: 'conflict', reason }])
  await ReportingMachine.create(registry, 'why-waits', { waiting_for: 'It starts at 22:00.' }, ['why'])
  await signIn(registry.owner, '/machines')
  const text = row(page, 'why-machine').getByText(reason)
  await expect(text).toBeVisible()
  const line = text.locator('..')
  expect(await line.evaluate((element) => element.scrollWidth > element.clientWidth)).toBe(true)
  expect((await line.boundingBox())?.height).toBeLessThan(30)
  // The reason is said once.
  await expect(row(page, 'why-waits').getByText('It starts at 22:00.')).toHaveCount(1)
  await page.setViewportSize({ width: 380, height: 800 })
  await expectNoHorizontalScroll(page)
  await row(page, 'why-machine').getByRole('link', { name: 'why-machine' }).click()
  const whole = drawer(page).getByText(reason).first().locator('..')
  await expect(whole).toBeVisible()
  expect(await whole.evaluate((element) => element.scrollWidth > element.clientWidth)).toBe(false)
})

test('machines are filtered by text, label and status, and the filters survive a reload', async ({
  page,
  registry,
  signIn,
}) => {
  await Promise.all([
    ReportingMachine.create(registry, 'find-north-1', {}, ['north']),
    ReportingMachine.create(registry, 'find-north-2', { problem: 'The disk is full.' }, ['north']),
    ReportingMachine.create(registry, 'find-south', { waiting_for: 'Downloads start at 22:00.' }),
  ])
  await signIn(registry.owner, '/machines?label=north')
  const machines = page.getByRole('list', { name: 'Machines' }).locator('> li')
  await expect(machines).toHaveCount(2)
  await expect(page.getByRole('status').filter({ hasText: '2 of' })).toContainText('1 up to date, 1 problem')
  await expect(page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: /^Machines/ })).toContainText(
    /\d+ with a problem/,
  )
  await page.getByLabel('State', { exact: true }).selectOption('Problem')
  await expect(machines).toHaveCount(1)
  await page.getByLabel('Label', { exact: true }).selectOption('Any label')
  await page.getByLabel('State', { exact: true }).selectOption('Any state')
  await page.getByLabel('Search machines').fill('find 22:00')
  await expect(machines).toHaveCount(1)
  await expect(page).toHaveURL(/q=find/)
  await page.reload()
  await expect(machines).toHaveCount(1)
  await expect(page.getByRole('status').filter({ hasText: '1 of' })).toContainText(
    /1 of \d+ machines: 1 (waiting|up to date)/,
  )
})

test('the machine drawer lists the models with their states and can hide those that are ready', async ({
  page,
  registry,
  signIn,
}) => {
  const [has, stuck] = await Promise.all([
    registerModel(registry, 'loras/drawer-has.safetensors', { required_labels: ['drawer'] }),
    registerModel(registry, 'loras/drawer-stuck.safetensors', { required_labels: ['drawer'] }),
  ])
  const machine = await ReportingMachine.create(registry, 'with-models', {}, ['drawer'])
  const ready = { model_id: has.id, state: 'ready' }
  await machine.report({}, [
    ready,
    { model_id: stuck.id, state: 'blocked', reason: 'The disk is full.', bytes_done: 500 },
  ])
  await signIn(registry.owner, '/machines')
  await row(page, 'with-models').getByRole('link', { name: 'with-models' }).click()
  await expect(page).toHaveURL(/machine=with-models/)
  const models = drawer(page).getByRole('table', { name: 'Models on with-models' }).locator('tbody tr')
  await expect(models.filter({ hasText: 'drawer-stuck' })).toContainText('The disk is full.')
  await expect(models.filter({ hasText: 'drawer-has' })).toContainText('Ready')
  await drawer(page).getByLabel('Which models').selectOption('Not ready')
  await expect(models.filter({ hasText: 'drawer-has' })).toHaveCount(0)
  await expect(models.filter({ hasText: 'drawer-stuck' })).toHaveCount(1)
  await machine.report({ agent_status: 'syncing', sync_phase: 'downloading' }, [
    ready,
    { model_id: stuck.id, state: 'downloading', bytes_done: 700 },
  ])
  await expect(models.filter({ hasText: 'drawer-stuck' })).toContainText('Downloading')
  await machine.report({ agent_status: 'syncing' }, [ready, { model_id: stuck.id, state: 'ready' }])
  await expect(models.filter({ hasText: 'drawer-stuck' })).toHaveCount(0)
  await page.keyboard.press('Escape')
  await expect(drawer(page)).toHaveCount(0)
  await expect(page).not.toHaveURL(/machine=/)
})

test('a download is followed on a machine that also has a problem', async ({ page, registry, signIn }) => {
  const [moving, stuck] = await Promise.all([
    registerModel(registry, 'loras/both-moving.safetensors', { required_labels: ['both'] }),
    registerModel(registry, 'loras/both-stuck.safetensors', { required_labels: ['both'] }),
  ])
  const machine = await ReportingMachine.create(registry, 'has-both', {}, ['both'])
  const report = (bytes_done: number) =>
    machine.report({ agent_status: 'syncing', sync_phase: 'downloading' }, [
      { model_id: moving.id, state: 'downloading', bytes_done },
      { model_id: stuck.id, state: 'conflict', reason: 'Another file has this path.' },
    ])
  await report(500)
  await signIn(registry.owner, '/machines?machine=has-both')
  const models = drawer(page).getByRole('table', { name: 'Models on has-both' }).locator('tbody tr')
  await expect(models.filter({ hasText: 'both-stuck' })).toContainText('Conflict')
  await expect(models.filter({ hasText: 'both-moving' })).toContainText('500 B of')
  await expect(row(page, 'has-both')).toContainText('Problem')
  await report(700)
  await expect(models.filter({ hasText: 'both-moving' })).toContainText('700 B of')
})

test('an admin pauses a machine, undoes it, sets labels and requests a sync', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(registry, 'told', {}, ['own-label'])
  await signIn(await registry.person('admin'), '/machines?machine=told')
  await drawer(page).getByRole('button', { name: 'Pause' }).click()
  await expect(drawer(page).getByRole('button', { name: 'Resume' })).toBeVisible()
  await expect(drawer(page)).toContainText('Paused')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(drawer(page).getByRole('button', { name: 'Pause' })).toBeVisible()
  await drawer(page).getByLabel('Labels set by the team').fill('night')
  await page.keyboard.press('Enter')
  await drawer(page).getByRole('button', { name: 'Save labels' }).click()
  await expect(row(page, 'told').getByTitle('Label set by the team')).toHaveText('night')
  await expect(drawer(page)).toContainText('Labels set on the machine: own-label')
  await drawer(page).getByRole('button', { name: 'Sync now' }).click()
  await expect(page.getByText('told syncs at its next heartbeat')).toBeVisible()
})

test('a double click on a machine action sends one request', { tag: '@core' }, async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'twice')
  await signIn(registry.owner, '/machines?machine=twice')
  const sent: string[] = []
  page.on(
    'request',
    (request) =>
      request.method() !== 'GET' &&
      request.url().includes('/agents/') &&
      sent.push(`${request.method()} ${request.url()}`),
  )
  await page.route('**/api/v1/agents/twice', async (route) => {
    await expect(drawer(page).getByRole('button', { name: 'Sync now' })).toBeDisabled()
    await route.continue()
  })
  await drawer(page).getByRole('button', { name: 'Pause' }).dblclick()
  await expect(drawer(page).getByRole('button', { name: 'Resume' })).toBeEnabled()
  await drawer(page).getByRole('button', { name: 'Sync now' }).dblclick()
  await expect(page.getByText('twice syncs at its next heartbeat')).toBeVisible()
  expect(sent).toEqual([`PUT ${registry.url}/api/v1/agents/twice`, `POST ${registry.url}/api/v1/agents/twice/sync`])
})

test('a label that the registry refuses marks its field as invalid', async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'refused')
  await signIn(registry.owner, '/machines?machine=refused')
  await drawer(page).getByLabel('Labels set by the team').fill('?!')
  await page.keyboard.press('Enter')
  await drawer(page).getByRole('button', { name: 'Save labels' }).click()
  await expect(drawer(page).getByRole('combobox', { name: 'Labels set by the team' })).toHaveAttribute(
    'aria-invalid',
    'true',
  )
})

test('a machine is removed after a confirmation', async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'to-forget')
  await signIn(registry.owner, '/machines?machine=to-forget')
  await drawer(page).getByRole('button', { name: 'Remove machine…' }).click()
  const question = page.getByRole('dialog', { name: 'Remove this machine?' })
  await expect(question).toContainText('revoke its key')
  await question.getByRole('button', { name: 'Remove machine', exact: true }).click()
  await expect(page.getByText('to-forget is removed.')).toBeVisible()
  await expect(row(page, 'to-forget')).toHaveCount(0)
  await expect(page).not.toHaveURL(/machine=/)
})

test('an approval covers the files that the question names, and no others', async ({ page, registry, signIn }) => {
  const held = { removal_waiting: 3, removal_token: 'a'.repeat(64) }
  const machine = await ReportingMachine.create(registry, 'holds-more', held)
  await signIn(registry.owner, '/machines?machine=holds-more')
  await drawer(page).getByRole('button', { name: 'Approve removal of 3 files…' }).click()
  const question = page.getByRole('dialog', { name: 'Approve this removal?' })
  await machine.report({ removal_waiting: 400, removal_token: 'b'.repeat(64) })
  await expect(page.getByText('The removal of 400 files waits for approval by an admin.').first()).toBeVisible()
  await question.getByRole('button', { name: 'Remove 3 files' }).click()
  await expect(page.getByText(/Nothing is approved: .* 400 files wait now/)).toBeVisible()
  await expect(question).toHaveCount(0)
  await drawer(page).getByRole('button', { name: 'Approve removal of 400 files…' }).click()
  await question.getByRole('button', { name: 'Remove 400 files' }).click()
  await expect(page.getByText('The removal of 400 files on holds-more is approved.')).toBeVisible()
})

test('a viewer sees machines without buttons for actions that they may not use', async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'only-looked-at', { removal_waiting: 12, removal_token: 'a'.repeat(64) })
  await signIn(await registry.person('viewer'), '/machines?machine=only-looked-at')
  await expect(drawer(page)).toContainText('The removal of 12 files waits for approval by an admin.')
  for (const name of [/Pause/, /Sync now/, /Remove machine/, /Approve removal/, /Save/]) {
    await expect(drawer(page).getByRole('button', { name })).toHaveCount(0)
  }
  await expect(drawer(page).getByLabel('Labels set by the team')).toHaveCount(0)
})

test('the URL of an unknown machine shows that it was not found', async ({ page, registry, signIn }) => {
  await ReportingMachine.create(registry, 'another')
  await signIn(registry.owner, '/machines?machine=never-heard-of')
  await expect(drawer(page)).toContainText('Machine not found')
})

test('the machine view shows the storage used by the team and the free disk space of the server', async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(registry, 'beside-the-room')
  await signIn(registry.owner, '/machines')
  const room = page.getByRole('region', { name: 'Registry storage' })
  await expect(room).toContainText(/The registry stores .* for this team/)
  await expect(room).toContainText(/of the server's disk of .* free/)
})

test('the machine list stays visible with a notice while the browser is offline', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  await ReportingMachine.create(registry, 'still-shown')
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'still-shown')).toBeVisible()
  await context.setOffline(true)
  await expect(page.getByText('The data may be out of date')).toBeVisible()
  await expect(row(page, 'still-shown')).toBeVisible()
  await context.setOffline(false)
  await expect(page.getByText('The data may be out of date')).toHaveCount(0)
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the machine list, drawer and confirmation are accessible (${colorScheme})`, async ({
    page,
    registry,
    signIn,
  }) => {
    await page.emulateMedia({ colorScheme })
    const reason = `‮<script>alert(1)</script> 🎨 ${'Ｗ'.repeat(255)}`
    const name = `${'W'.repeat(59)}${colorScheme}`
    await ReportingMachine.create(
      registry,
      name,
      {
        waiting_for: reason,
        sync_phase: 'downloading',
        sync_detail: reason,
        sync_percent: 5,
        removal_waiting: 3,
        removal_token: 'b'.repeat(64),
        disk_free: 10,
        bytes_held: 1000,
      },
      ['own-label-which-is-rather-long-for-a-label'],
    )
    await signIn(registry.owner, '/machines')
    await expect(page.getByRole('link', { name })).toBeVisible()
    await expectAccessible(page)
    await page.getByRole('link', { name }).click()
    await expect(drawer(page).getByRole('heading', { name: 'Models' })).toBeVisible()
    await expectAccessible(page)
    await drawer(page)
      .getByRole('button', { name: /Approve removal/ })
      .click()
    await expect(page.getByRole('dialog', { name: 'Approve this removal?' })).toContainText('24 hours')
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    await page.setViewportSize({ width: 360, height: 740 })
    await expectNoHorizontalScroll(page)
  })
}
