// Pairing a machine without a key by its code.

import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { readClipboard } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { buildEnvironment, ReportingMachine } from './machines'
import type { Registry } from './registry'

const test = withRegistry()

/** Start `modelyard agent pair`; return a function that waits for its output, and its exit code. */
function startPairing(registry: Registry, id: string) {
  const pair = registry.spawnCommand(['agent', 'pair', '--url', registry.url], buildEnvironment(registry, id), id)
  return {
    waitForOutput: (pattern: RegExp) => readOutput(pair, pattern),
    exitCode: new Promise((over) => pair.once('exit', over)),
  }
}

function readOutput(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const match = pattern.exec(text)
      if (match?.[1]) resolve(match[1])
    })
    child.once('exit', () => reject(new Error(`It ended: ${text}`)))
  })
}

test('the pairing link keeps its code through the sign-in, and the machine receives its key', { tag: '@core' }, async ({
  page,
  registry,
}) => {
  const machine = startPairing(registry, 'render-link')
  const link = await machine.waitForOutput(/Confirm it at (\S+)/)
  await page.goto(link)
  await page.getByLabel('E-mail').fill(registry.owner.email)
  await page.getByLabel(/^Password/).fill(registry.owner.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const code = new URL(link).searchParams.get('code') ?? 'none'
  await expect(page.getByLabel(/^Code/)).toHaveValue(code)
  await expect(page.getByRole('main')).toContainText('The machine can then download the models of')
  await page.getByLabel('Name').fill('under-the-desk')
  await page.getByRole('button', { name: 'Pair machine' }).click()
  await expect(page.getByText('The machine is paired')).toBeVisible()
  expect(await machine.exitCode).toBe(0)
  const kept = readFileSync(join(registry.home, 'render-link', 'agent-keys.json'), 'utf8')
  expect(kept).toContain('ak-')
  expect(kept).not.toContain('dk-')
  const keys = await registry.call<{ credentials: { display_name: string }[] }>(registry.owner, 'GET', '/credentials')
  expect(keys.credentials.map((key) => key.display_name)).toContain('under-the-desk')
})

test('a viewer pairs a machine from the machine list with a code typed in lower case and with spaces', async ({
  page,
  registry,
  signIn,
}) => {
  const machine = startPairing(registry, 'render-typed')
  const code = await machine.waitForOutput(/Code: (\S+)/)
  await signIn(await registry.person('viewer'), '/machines')
  await page.getByRole('button', { name: 'Pair a machine' }).click()
  const dialog = page.getByRole('dialog', { name: 'Pair a machine' })
  await expect(dialog).toContainText(`modelyard agent pair --url ${registry.url}`)
  await dialog.getByLabel(/^Code/).fill(` ${code.toLowerCase().replace('-', ' ')} `)
  await expect(dialog.getByLabel(/^Code/)).toHaveValue(code)
  await dialog.getByRole('button', { name: 'Pair machine' }).click()
  await expect(dialog.getByText('The machine is paired')).toBeVisible()
  expect(await machine.exitCode).toBe(0)
  await dialog.getByRole('button', { name: 'Close' }).last().click()
  await expect(dialog).toHaveCount(0)
})

test('a machine that is paired with the name of another one is shown with a warning and the way out', async ({
  page,
  registry,
  signIn,
}) => {
  await ReportingMachine.create(registry, 'render-twice')
  const machine = startPairing(registry, 'render-twice-2')
  const code = await machine.waitForOutput(/Code: (\S+)/)
  await signIn(registry.owner, `/pair?code=${code}`)
  await page.getByLabel('Name').fill('render-twice')
  await page.getByRole('button', { name: 'Pair machine' }).click()
  const warning = page.getByRole('alert').filter({ hasText: 'The team has a machine with this name' })
  await expect(warning).toContainText('run this one with another name: modelyard agent run --agent-id NAME')
  await expectAccessible(page)
  expect(await machine.exitCode).toBe(0)
})

test('an unknown pairing code is refused at its field and stays editable', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/pair?code=ab7kpnq3')
  await expect(page.getByLabel(/^Code/)).toHaveValue('AB7K-PNQ3')
  await page.getByRole('button', { name: 'Pair machine' }).click()
  await expect(page.getByText('This code is wrong, already used, or older than five minutes.')).toBeVisible()
  await expect(page.getByLabel(/^Code/)).toHaveValue('AB7K-PNQ3')
  await expect(page.getByLabel(/^Code/)).toHaveAttribute('aria-invalid', 'true')
})

test('a team without machines sees the commands of the documentation that pair the first, and can copy them', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await openInEmptyTeam(page, registry)
  await signIn(registry.owner, '/machines')
  const steps = page.getByRole('main')
  await expect(steps.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()
  const documented = readCommands('docs/fleet.md')
  const commands = documented.slice(0, 3).map((line) => line.replace(/http:\S+/, registry.url))
  expect(commands.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
    'uv tool install',
    'modelyard agent pair',
    'modelyard agent run',
  ])
  for (const command of commands) {
    await steps.getByRole('button', { name: `Copy “${command}”` }).click()
    await expect.poll(() => readClipboard(page)).toBe(command)
  }
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the pairing views and the empty machine list are accessible (${colorScheme})`, async ({
    page,
    registry,
    signIn,
  }) => {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width: 360, height: 740 })
    await openInEmptyTeam(page, registry)
    await signIn(registry.owner, '/machines')
    await expect(page.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Pair a machine' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await expectAccessible(page)
    await page.goto(`${registry.url}/pair?code=AB7K-PNQ3`)
    await expect(page.getByRole('heading', { name: 'Pair a machine' })).toBeVisible()
    await expectAccessible(page)
    await expectNoHorizontalScroll(page)
  })
}

/** Read the lines of all shell blocks of a page of the documentation. */
function readCommands(name: string): string[] {
  const text = readFileSync(join(import.meta.dirname, '../..', name), 'utf8')
  return Array.from(text.matchAll(/^```sh\n(.*?)^```/gms), (block) => block[1]?.trim().split('\n') ?? []).flat()
}

/** Create a new team and make the page use it, as other tests share the registry. */
async function openInEmptyTeam(page: Page, registry: Registry): Promise<void> {
  const created = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', {
    display_name: 'A new studio',
  })
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), created.id)
}
