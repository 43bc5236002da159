import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from '@playwright/test'
import { safetensors } from './files'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { freshEmail } from './people'
import type { Registry } from './registry'

const test = withRegistry()

const BIN = join(import.meta.dirname, '../../.venv/bin')

/** What a person's terminal answers to a pasted command, in a home of its own. */
async function pasted(registry: Registry, command: string, signal?: AbortSignal): Promise<string> {
  const name = freshEmail()
  const home = join(registry.home, name)
  mkdirSync(join(home, 'ComfyUI/models'), { recursive: true })
  mkdirSync(join(home, 'loras'))
  writeFileSync(join(home, `loras/pasted-${name.split('@')[0]}.safetensors`), safetensors(64))
  const env = { PATH: `${BIN}${delimiter}${process.env.PATH}`, HOME: home }
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', command], {
    cwd: home,
    env,
    timeout: 100_000,
    ...(signal && { signal }),
  })
  return stdout + stderr
}

async function make(page: Page, name: string, choose: (dialog: ReturnType<Page['getByRole']>) => Promise<void>) {
  await page.getByRole('button', { name: 'New key' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill(name)
  await choose(dialog)
  await dialog.getByRole('button', { name: 'Make the key' }).click()
  await expect(dialog.getByRole('group', { name: 'Key', exact: true })).toBeVisible()
  return dialog
}

test('keys that cannot be asked for again stay on the screen', async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: 'to stay' })
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: 'to end' })
  await signIn(registry.owner, '/team/keys')
  await expect(page.getByRole('row', { name: 'to stay' })).toBeVisible()
  await page.route('**/api/v1/credentials?*', (route) => route.abort())
  await page.getByRole('button', { name: 'Revoke to end' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByText('The registry does not answer. What is shown may be old.')).toBeVisible()
  await expect(page.getByRole('row', { name: 'to stay' })).toBeVisible()
})

test('an integration key is shown once, and its commands work as they are pasted', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/team/keys')
  const dialog = await make(page, 'nightly training', async (form) => {
    await form.getByLabel('Ends').selectOption('30')
    await expectAccessible(page)
  })
  await expectAccessible(page)
  const text = async (name: string) => (await dialog.getByRole('group', { name }).locator('pre').textContent()) ?? ''
  const command = await text('Command line')
  const curl = await text('curl')
  expect(await pasted(registry, command)).toContain('pasted')
  expect(JSON.parse((await pasted(registry, `${curl} --silent`)).trim())).toHaveProperty('model_list')

  // Neither Escape nor a click beside the dialog throws the only copy away.
  await page.keyboard.press('Escape')
  await page.mouse.click(5, 5)
  await expect(dialog).toBeVisible()
  await dialog.getByRole('button', { name: 'I have it' }).click()
  const row = page.getByRole('row', { name: 'nightly training' })
  await expect(row).toContainText(/sk-.*Integration.*you.*write.*active/)
  await expect(dialog).toHaveCount(0)
  expect(await page.content()).not.toContain(/MODELYARD_TOKEN=(\S+)/.exec(command)?.[1])
})

test('a key that only reads cannot push', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/keys')
  const dialog = await make(page, 'dashboard', (form) => form.getByLabel('Read only').check())
  const command = (await dialog.getByRole('group', { name: 'Command line' }).locator('pre').textContent()) ?? ''
  await pasted(registry, command)
  const refused = pasted(registry, command.replace(/modelyard \w+$/, 'modelyard push ./loras'))
  await expect(refused).rejects.toThrow(/may read, not write/)
})

test('the command of an agent key brings a machine', async ({ page, registry, signIn }) => {
  test.setTimeout(180_000)
  await signIn(registry.owner, '/team/keys')
  const dialog = await make(page, 'render farm', (form) => form.getByLabel('Machines').check())
  const command = (await dialog.getByRole('group', { name: 'On the machine' }).locator('pre').textContent()) ?? ''
  expect(command).toMatch(
    /^MODELYARD_AGENT_URL=\S+ MODELYARD_AGENT_KEY=ak-\S+ modelyard agent run --comfyui ~\/ComfyUI$/,
  )
  const stop = new AbortController()
  // `exec env` makes the agent the process that is ended, instead of the shell around it.
  const agent = pasted(registry, `exec env ${command} --agent-id pasted-machine`, stop.signal).catch(() => undefined)
  const machines = () =>
    registry
      .call<{ agent_list: { agent_id: string }[] }>(registry.owner, 'GET', '/agents')
      .then((answer) => answer.agent_list.map((one) => one.agent_id))
  await expect.poll(machines, { timeout: 90_000 }).toContain('pasted-machine')
  stop.abort()
  await agent
})

test('a revoked key is refused, and listed among the ended ones only', async ({ page, registry, signIn }) => {
  const made = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'integration',
    display_name: 'to be revoked',
  })
  const status = async () =>
    (await fetch(`${registry.url}/api/v1/models`, { headers: { Authorization: `Bearer ${made.raw_key}` } })).status
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

test('the filter of kinds is in the address', async ({ page, registry, signIn }) => {
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

test('below an admin one sees the keys of own devices, and ends them', async ({ page, registry, signIn }) => {
  const viewer = await registry.person('viewer')
  await paired(registry, viewer, 'my laptop')
  await paired(registry, registry.owner, 'the desk of the owner')
  await signIn(viewer, '/team/keys')
  const row = page.getByRole('row', { name: 'my laptop' })
  await expect(row).toContainText(/dk-.*Device.*you/)
  await expect(page.getByRole('button', { name: 'New key' })).toHaveCount(0)
  await expect(page.getByRole('row', { name: 'the desk of the owner' })).toHaveCount(0)
  await expectAccessible(page)
  await row.getByRole('button', { name: /^Revoke/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByRole('heading', { name: 'No keys' })).toBeVisible()
})

test('the keys are accessible, in light and dark, wide and narrow', async ({ page, registry, signIn }) => {
  await registry.call(registry.owner, 'POST', '/credentials', { kind: 'agent', display_name: '\u202E<b>'.repeat(20) })
  await signIn(registry.owner, '/team/keys?all=true')
  await expect(page.getByRole('table', { name: 'Keys' })).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      await expectAccessible(page)
      await expectNarrow(page)
    }
  }
})

async function paired(registry: Registry, person: Registry['owner'], device_name: string): Promise<void> {
  const start = await fetch(`${registry.url}/api/v1/desktop/pair/start`, { method: 'POST' })
  const { device_code, user_code } = (await start.json()) as { device_code: string; user_code: string }
  await registry.call(person, 'POST', '/desktop/pair/confirm', { user_code, device_name })
  await fetch(`${registry.url}/api/v1/desktop/pair/poll`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device_code }),
  })
}
