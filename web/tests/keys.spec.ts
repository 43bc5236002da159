import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from '@playwright/test'
import { createEmail } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildSafetensors } from './modelFiles'
import type { Registry } from './registry'

const test = withRegistry()

const BIN = join(import.meta.dirname, '../../.venv/bin')

/** Run a copied command in a shell with a home folder of its own, and return its output. */
async function runCommand(registry: Registry, command: string, signal?: AbortSignal): Promise<string> {
  const name = createEmail()
  const home = join(registry.home, name)
  mkdirSync(join(home, 'ComfyUI/models'), { recursive: true })
  mkdirSync(join(home, 'loras'))
  writeFileSync(join(home, `loras/pasted-${name.split('@')[0]}.safetensors`), buildSafetensors(64))
  const env = { PATH: `${BIN}${delimiter}${process.env.PATH}`, HOME: home }
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', command], {
    cwd: home,
    env,
    timeout: 300_000,
    ...(signal && { signal }),
  })
  return stdout + stderr
}

async function createKey(page: Page, name: string, choose: (dialog: ReturnType<Page['getByRole']>) => Promise<void>) {
  await page.getByRole('button', { name: 'New key' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill(name)
  await choose(dialog)
  await dialog.getByRole('button', { name: 'Create key' }).click()
  await expect(dialog.getByRole('group', { name: 'Key', exact: true })).toBeVisible()
  return dialog
}

test('the key list stays visible with a notice when it cannot be reloaded', async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: 'to stay' })
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: 'to end' })
  await signIn(registry.owner, '/team/keys')
  await expect(page.getByRole('row', { name: 'to stay' })).toBeVisible()
  await page.route('**/api/v1/credentials?*', (route) => route.abort())
  await page.getByRole('button', { name: 'Revoke to end' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByText('The registry does not answer. The data may be out of date.')).toBeVisible()
  await expect(page.getByRole('row', { name: 'to stay' })).toBeVisible()
})

test('a new integration key is shown once, and the commands shown with it work in a shell', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/team/keys')
  const dialog = await createKey(page, 'nightly training', async (form) => {
    await form.getByLabel('Expires').selectOption('30')
    await expectAccessible(page)
  })
  await expectAccessible(page)
  const text = async (name: string) => (await dialog.getByRole('group', { name }).locator('pre').textContent()) ?? ''
  const command = await text('Command line')
  const curl = await text('curl')
  expect(await runCommand(registry, command)).toContain('pasted')
  expect(JSON.parse((await runCommand(registry, `${curl} --silent`)).trim())).toHaveProperty('model_list')

  // Neither Escape nor a click beside the dialog closes it, as the key is shown only here.
  await page.keyboard.press('Escape')
  await page.mouse.click(5, 5)
  await expect(dialog).toBeVisible()
  await dialog.getByRole('button', { name: 'Done' }).click()
  const row = page.getByRole('row', { name: 'nightly training' })
  await expect(row).toContainText(/sk-.*Integration.*you.*write.*active/)
  await expect(dialog).toHaveCount(0)
  expect(await page.content()).not.toContain(/MODELYARD_TOKEN=(\S+)/.exec(command)?.[1])
})

test('a read-only key is refused when it pushes', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/keys')
  const dialog = await createKey(page, 'dashboard', (form) => form.getByLabel('Read only').check())
  const command = (await dialog.getByRole('group', { name: 'Command line' }).locator('pre').textContent()) ?? ''
  await runCommand(registry, command)
  const refused = runCommand(registry, command.replace(/modelyard \w+$/, 'modelyard push ./loras'))
  await expect(refused).rejects.toThrow(/read access only/)
})

test('the command shown with a new agent key starts an agent that appears as a machine', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/team/keys')
  const dialog = await createKey(page, 'render farm', (form) => form.getByLabel('Machines').check())
  const command = (await dialog.getByRole('group', { name: 'On the machine' }).locator('pre').textContent()) ?? ''
  expect(command).toMatch(
    /^MODELYARD_AGENT_URL=\S+ MODELYARD_AGENT_KEY=ak-\S+ modelyard agent run --comfyui ~\/ComfyUI$/,
  )
  const stop = new AbortController()
  // `exec env` replaces the shell by the agent, so that the signal stops the agent.
  const agent = runCommand(registry, `exec env ${command} --agent-id pasted-machine`, stop.signal).catch(
    () => undefined,
  )
  const machines = () =>
    registry
      .call<{ agent_list: { agent_id: string }[] }>(registry.owner, 'GET', '/agents')
      .then((answer) => answer.agent_list.map((one) => one.agent_id))
  await expect.poll(machines, { timeout: 90_000 }).toContain('pasted-machine')
  stop.abort()
  await agent
})

test('a revoked key is refused by the API and listed only with expired and revoked keys', async ({
  page,
  registry,
  signIn,
}) => {
  const created = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'integration',
    display_name: 'to be revoked',
  })
  const status = async () =>
    (await fetch(`${registry.url}/api/v1/models`, { headers: { Authorization: `Bearer ${created.raw_key}` } })).status
  expect(await status()).toBe(200)
  await signIn(registry.owner, '/team/keys')
  const row = page.getByRole('row', { name: 'to be revoked' })
  await row.getByRole('button', { name: /^Revoke to be revoked/ }).click()
  const question = page.getByRole('dialog', { name: 'Revoke this key?' })
  await expect(question).toContainText('refused within five seconds')
  await expectAccessible(page)
  await question.getByRole('button', { name: 'Revoke' }).click()
  await expect(row).toHaveCount(0)
  await expect.poll(status).toBe(401)
  await page.getByRole('switch', { name: 'Show expired and revoked' }).click()
  await expect(row.getByText('revoked', { exact: true })).toBeVisible()
  await expect(row.getByRole('button')).toHaveCount(0)
  await expect(page).toHaveURL(/all=true/)
})

test('rotating a key shows the new secret once, and the old one works for the chosen time', async ({
  page,
  registry,
  signIn,
}) => {
  const old = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'integration',
    display_name: 'to be rotated',
  })
  const status = async (key: string) =>
    (await fetch(`${registry.url}/api/v1/models`, { headers: { Authorization: `Bearer ${key}` } })).status
  await signIn(registry.owner, '/team/keys')
  const row = page.getByRole('row', { name: 'to be rotated' })
  const dialog = page.getByRole('dialog')
  const secret = dialog.getByRole('group', { name: 'Key', exact: true }).locator('pre')

  await row.getByRole('button', { name: /^Rotate/ }).click()
  await expectAccessible(page)
  await dialog.getByRole('button', { name: 'Rotate' }).click()
  const second = (await secret.textContent()) ?? ''
  expect([await status(old.raw_key), await status(second)]).toEqual([200, 200])
  await page.keyboard.press('Escape')
  await expect(dialog).toBeVisible()
  await dialog.getByRole('button', { name: 'Done' }).click()
  await expect(row).toContainText(second.slice(0, 11))
  await expect(row).toContainText('old secret until')

  await row.getByRole('button', { name: /^Rotate/ }).click()
  await dialog.getByLabel('How long the old secret works').selectOption('0')
  await dialog.getByRole('button', { name: 'Rotate' }).click()
  const third = (await secret.textContent()) ?? ''
  expect([await status(old.raw_key), await status(second), await status(third)]).toEqual([401, 401, 200])
})

test('keys from pairing can be revoked but not rotated', async ({ page, registry, signIn }) => {
  await pairDevice(registry, registry.owner, 'the-render-box')
  await pairDevice(registry, registry.owner, 'the-render-box', { is_for_agent: true })
  await signIn(registry.owner, '/team/keys')
  const rows = page.getByRole('row', { name: 'the-render-box' })
  await expect(rows).toHaveCount(3)
  await expect(rows.getByRole('button', { name: /^Revoke/ })).toHaveCount(3)
  await expect(rows.getByRole('button', { name: /^Rotate/ })).toHaveCount(0)
})

test('the key kind filter is kept in the URL', async ({ page, registry, signIn }) => {
  for (const kind of ['agent', 'integration']) {
    await registry.call(registry.owner, 'POST', '/credentials', { kind, display_name: `one ${kind}` })
  }
  await signIn(registry.owner, '/team/keys?kind=agent')
  await expect(page.getByRole('row', { name: 'one agent' })).toBeVisible()
  await expect(page.getByRole('row', { name: 'one integration' })).toHaveCount(0)
  await page.getByText('Integrations', { exact: true }).click()
  await expect(page).toHaveURL(/kind=integration/)
  await expect(page.getByRole('row', { name: 'one integration' })).toBeVisible()
  await expect(page.getByRole('row', { name: 'one agent' })).toHaveCount(0)
})

test('a viewer sees only the keys of what they paired and can revoke them', async ({ page, registry, signIn }) => {
  const viewer = await registry.person('viewer')
  await pairDevice(registry, viewer, 'my-render-box', { is_for_agent: true })
  await pairDevice(registry, registry.owner, 'the desk of the owner')
  await signIn(viewer, '/team/keys')
  const row = page.getByRole('row', { name: 'my-render-box' })
  await expect(row).toContainText(/ak-.*Agent.*you/)
  await expect(page.getByRole('button', { name: 'New key' })).toHaveCount(0)
  await expect(page.getByRole('row', { name: 'the desk of the owner' })).toHaveCount(0)
  await expectAccessible(page)
  await row.getByRole('button', { name: /^Revoke/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByRole('heading', { name: 'No keys' })).toBeVisible()
})

test('the key list is accessible in light and dark and fits wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: 'שלום<b>'.repeat(14) })
  await signIn(registry.owner, '/team/keys?all=true')
  await expect(page.getByRole('table', { name: 'Keys' })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
    }
  }
})

async function pairDevice(
  registry: Registry,
  person: Registry['owner'],
  device_name: string,
  request: { is_for_agent?: boolean } = {},
): Promise<void> {
  const query = new URLSearchParams(request.is_for_agent ? { is_for_agent: 'true' } : {})
  const start = await fetch(`${registry.url}/api/v1/desktop/pair/start?${query}`, { method: 'POST' })
  const { device_code, user_code } = (await start.json()) as { device_code: string; user_code: string }
  await registry.call(person, 'POST', '/desktop/pair/confirm', { user_code, device_name })
  await fetch(`${registry.url}/api/v1/desktop/pair/poll`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device_code }),
  })
}
