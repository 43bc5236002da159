// The list of machines and the details of one, with machines that report what a test needs.

import type { Page } from '@playwright/test'
import { registered } from './files'
import { Reporter, silent } from './machines'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'

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

test('a machine says how it is, what it holds, and why it waits', async ({ page, registry, signIn }) => {
  await Reporter.heard(
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
  await expect(machine).toContainText('Fetches ink.safetensors')
  await expect(machine.getByRole('progressbar', { name: 'says-all: Fetches' })).toHaveAttribute('aria-valuenow', '40')
  await expect(machine.getByRole('progressbar', { name: /Of its budget/ })).toHaveAttribute('aria-valuenow', '82')
  await expect(machine).toContainText('410 GB of 500 GB, 900 GB free')
  await expect(machine).toContainText('Downloads take at most 20 MB a second here.')
  await expect(machine).toContainText('modelyard 0.3.0 · ComfyUI 0.3.64 · linux-x86_64')
  await expect(machine.getByTitle('A label of the machine itself')).toHaveText('gpu24')
  await expect(machine.getByTitle('A label given by the team')).toHaveText('night')
})

test('news are seen without a reload, and what is the same is not drawn again', async ({ page, registry, signIn }) => {
  const [moving] = await Promise.all([Reporter.heard(registry, 'news'), Reporter.heard(registry, 'quiet')])
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'news')).toContainText('Idle')
  await row(page, 'quiet').evaluate((element) => {
    const seen = window as unknown as { drawn: number }
    seen.drawn = 0
    new MutationObserver(() => (seen.drawn += 1)).observe(element, { subtree: true, childList: true, attributes: true })
  })
  const unchanged = page.waitForResponse((answer) => answer.url().includes('/agents?') && answer.status() === 304)
  await moving.says({ agent_status: 'busy' })
  await expect(row(page, 'news')).toContainText('Busy')
  await unchanged
  await Reporter.heard(registry, 'zz-came-later')
  await expect(row(page, 'zz-came-later')).toBeVisible()
  expect(await page.evaluate(() => (window as unknown as { drawn: number }).drawn)).toBe(0)
})

test('a machine that is not heard of for 90 seconds is unhealthy, and what to do is said', async ({
  page,
  registry,
  signIn,
}) => {
  await Reporter.heard(registry, 'gone-dark', { agent_status: 'syncing', sync_phase: 'downloading', sync_percent: 10 })
  silent(registry, 'gone-dark', 300)
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'gone-dark')).toContainText('Unhealthy')
  await expect(row(page, 'gone-dark')).toContainText('Last heard of 5 minutes ago')
  await expect(row(page, 'gone-dark').getByRole('progressbar', { name: /Fetches/ })).toHaveCount(0)
})

test('machines are found by words, label and status, and the address keeps what was asked', async ({
  page,
  registry,
  signIn,
}) => {
  await Promise.all([
    Reporter.heard(registry, 'find-north-1', {}, ['north']),
    Reporter.heard(registry, 'find-north-2', { agent_status: 'busy' }, ['north']),
    Reporter.heard(registry, 'find-south', { waiting_for: 'Downloads start at 22:00.' }),
  ])
  await signIn(registry.owner, '/machines?label=north')
  const machines = page.getByRole('list', { name: 'Machines' }).locator('> li')
  await expect(machines).toHaveCount(2)
  await page.getByLabel('Status', { exact: true }).selectOption('busy')
  await expect(machines).toHaveCount(1)
  await page.getByLabel('Label', { exact: true }).selectOption('Any label')
  await page.getByLabel('Status', { exact: true }).selectOption('Any status')
  await page.getByLabel('Search machines').fill('find 22:00')
  await expect(machines).toHaveCount(1)
  await expect(page).toHaveURL(/q=find/)
  await page.reload()
  await expect(machines).toHaveCount(1)
  await expect(page.getByRole('status').filter({ hasText: '1 of' })).toContainText('1 idle')
})

test('the drawer lists each model with its state, and those alone that are not ready', async ({
  page,
  registry,
  signIn,
}) => {
  const [has, stuck] = await Promise.all([
    registered(registry, 'loras/drawer-has.safetensors', { required_labels: ['drawer'] }),
    registered(registry, 'loras/drawer-stuck.safetensors', { required_labels: ['drawer'] }),
  ])
  const machine = await Reporter.heard(registry, 'with-models', {}, ['drawer'])
  const ready = { model_id: has.id, state: 'ready' }
  await machine.says({}, [
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
  await machine.says({ agent_status: 'syncing', sync_phase: 'downloading' }, [
    ready,
    { model_id: stuck.id, state: 'downloading', bytes_done: 700 },
  ])
  await expect(models.filter({ hasText: 'drawer-stuck' })).toContainText('Downloading')
  await machine.says({ agent_status: 'syncing' }, [ready, { model_id: stuck.id, state: 'ready' }])
  await expect(models.filter({ hasText: 'drawer-stuck' })).toHaveCount(0)
  await page.keyboard.press('Escape')
  await expect(drawer(page)).toHaveCount(0)
  await expect(page).not.toHaveURL(/machine=/)
})

test('an admin pauses a machine, takes it back, and gives it labels', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'told', {}, ['own-label'])
  await signIn(await registry.person('admin'), '/machines?machine=told')
  await drawer(page).getByRole('button', { name: 'Pause' }).click()
  await expect(drawer(page).getByRole('button', { name: 'Resume' })).toBeVisible()
  await expect(drawer(page)).toContainText('Paused')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(drawer(page).getByRole('button', { name: 'Pause' })).toBeVisible()
  await drawer(page).getByLabel('Labels given by the team').fill('night')
  await page.keyboard.press('Enter')
  await drawer(page).getByRole('button', { name: 'Save labels' }).click()
  await expect(row(page, 'told').getByTitle('A label given by the team')).toHaveText('night')
  await expect(drawer(page)).toContainText("The machine's own: own-label")
  await drawer(page).getByRole('button', { name: 'Look now' }).click()
  await expect(page.getByText('told looks as soon as it is heard of again')).toBeVisible()
})

test('a double click on what is told to a machine is one request', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'twice')
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
    await expect(drawer(page).getByRole('button', { name: 'Look now' })).toBeDisabled()
    await route.continue()
  })
  await drawer(page).getByRole('button', { name: 'Pause' }).dblclick()
  await expect(drawer(page).getByRole('button', { name: 'Resume' })).toBeEnabled()
  await drawer(page).getByRole('button', { name: 'Look now' }).dblclick()
  await expect(page.getByText('twice looks as soon as it is heard of again')).toBeVisible()
  expect(sent).toEqual([`PUT ${registry.url}/api/v1/agents/twice`, `POST ${registry.url}/api/v1/agents/twice/sync`])
})

test('a label that the registry refuses is explained at its field', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'refused')
  await signIn(registry.owner, '/machines?machine=refused')
  await drawer(page).getByLabel('Labels given by the team').fill('?!')
  await page.keyboard.press('Enter')
  await drawer(page).getByRole('button', { name: 'Save labels' }).click()
  await expect(drawer(page).getByRole('combobox', { name: 'Labels given by the team' })).toHaveAttribute(
    'aria-invalid',
    'true',
  )
})

test('a machine is forgotten after a question', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'to-forget')
  await signIn(registry.owner, '/machines?machine=to-forget')
  await drawer(page).getByRole('button', { name: 'Forget…' }).click()
  const question = page.getByRole('dialog', { name: 'Forget this machine?' })
  await expect(question).toContainText('revoke its key')
  await question.getByRole('button', { name: 'Forget', exact: true }).click()
  await expect(page.getByText('to-forget is forgotten.')).toBeVisible()
  await expect(row(page, 'to-forget')).toHaveCount(0)
  await expect(page).not.toHaveURL(/machine=/)
})

test('a viewer sees machines and no button that would be refused', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'only-looked-at', { removal_waiting: 12, removal_token: 'a'.repeat(64) })
  await signIn(await registry.person('viewer'), '/machines?machine=only-looked-at')
  await expect(drawer(page)).toContainText('The removal of 12 files is held until an admin releases it.')
  for (const name of [/Pause/, /Look now/, /Forget/, /Release/, /Save/]) {
    await expect(drawer(page).getByRole('button', { name })).toHaveCount(0)
  }
  await expect(drawer(page).getByLabel('Labels given by the team')).toHaveCount(0)
})

test('a machine that is not there is said to be none', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'another')
  await signIn(registry.owner, '/machines?machine=never-heard-of')
  await expect(drawer(page)).toContainText('There is no such machine')
})

test('the room of the registry is shown, with what the team stores', async ({ page, registry, signIn }) => {
  await Reporter.heard(registry, 'beside-the-room')
  await signIn(registry.owner, '/machines')
  const room = page.getByRole('region', { name: 'Room of the registry' })
  await expect(room).toContainText(/The registry stores .* for this team/)
  await expect(room).toContainText(/of the server's disk of .* free/)
})

test('an old list is said to be old while the registry is away', async ({ page, registry, signIn, context }) => {
  await Reporter.heard(registry, 'still-shown')
  await signIn(registry.owner, '/machines')
  await expect(row(page, 'still-shown')).toBeVisible()
  await context.setOffline(true)
  await expect(page.getByText('What is shown may be old')).toBeVisible()
  await expect(row(page, 'still-shown')).toBeVisible()
  await context.setOffline(false)
  await expect(page.getByText('What is shown may be old')).toHaveCount(0)
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the list, the details and the question are accessible (${colorScheme})`, async ({ page, registry, signIn }) => {
    await page.emulateMedia({ colorScheme })
    const reason = `‮<script>alert(1)</script> 🎨 ${'Ｗ'.repeat(255)}`
    const name = `${'W'.repeat(59)}${colorScheme}`
    await Reporter.heard(
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
      .getByRole('button', { name: /Release/ })
      .click()
    await expect(page.getByRole('dialog', { name: 'Release this removal?' })).toContainText('24 hours')
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    await page.setViewportSize({ width: 360, height: 740 })
    await expectNarrow(page)
  })
}
