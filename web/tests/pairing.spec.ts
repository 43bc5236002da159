// A machine without a key is let in by its code.

import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { environmentOf } from './machines'
import { expect, expectAccessible, expectNarrow, withRegistry } from './page'
import { clipboard } from './people'
import type { Registry } from './registry'

const test = withRegistry()

/** `modelyard agent pair`, waiting for a person; what it says meanwhile, and how it ends. */
function pairing(registry: Registry, id: string) {
  const pair = registry.spawned(['agent', 'pair', '--url', registry.url], environmentOf(registry, id), id)
  return { said: (pattern: RegExp) => saidBy(pair, pattern), ended: new Promise((over) => pair.once('exit', over)) }
}

function saidBy(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((found, failed) => {
    let text = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const match = pattern.exec(text)
      if (match?.[1]) found(match[1])
    })
    child.once('exit', () => failed(new Error(`It ended: ${text}`)))
  })
}

test('the link that a machine prints carries its code through the sign-in, and the machine takes its key', async ({
  page,
  registry,
}) => {
  const machine = pairing(registry, 'render-link')
  const link = await machine.said(/Confirm it at (\S+)/)
  await page.goto(link)
  await page.getByLabel('E-mail').fill(registry.owner.email)
  await page.getByLabel(/^Password/).fill(registry.owner.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const code = new URL(link).searchParams.get('code') ?? 'none'
  await expect(page.getByLabel(/^Code/)).toHaveValue(code)
  await expect(page.getByRole('main')).toContainText('It may then fetch the models of')
  await page.getByLabel('Name for the keys').fill('the one under the desk')
  await page.getByRole('button', { name: 'Let it in' }).click()
  await expect(page.getByText('The machine is let in')).toBeVisible()
  expect(await machine.ended).toBe(0)
  const kept = readFileSync(join(registry.home, 'render-link', 'agent-keys.json'), 'utf8')
  expect(kept).toContain('ak-')
  expect(kept).not.toContain('dk-')
  const keys = await registry.call<{ credentials: { display_name: string }[] }>(registry.owner, 'GET', '/credentials')
  expect(keys.credentials.map((key) => key.display_name)).toContain('the one under the desk')
})

test('a viewer lets a machine in from the list, and a code may be typed as it comes', async ({
  page,
  registry,
  signIn,
}) => {
  const machine = pairing(registry, 'render-typed')
  const code = await machine.said(/Code: (\S+)/)
  await signIn(await registry.person('viewer'), '/machines')
  await page.getByRole('button', { name: 'Pair a machine' }).click()
  const dialog = page.getByRole('dialog', { name: 'Pair a machine' })
  await expect(dialog).toContainText(`modelyard agent pair --url ${registry.url}`)
  await dialog.getByLabel(/^Code/).fill(` ${code.toLowerCase().replace('-', ' ')} `)
  await expect(dialog.getByLabel(/^Code/)).toHaveValue(code)
  await dialog.getByRole('button', { name: 'Let it in' }).click()
  await expect(dialog.getByText('The machine is let in')).toBeVisible()
  expect(await machine.ended).toBe(0)
  await dialog.getByRole('button', { name: 'Close' }).last().click()
  await expect(dialog).toHaveCount(0)
})

test('a code that is wrong or too old is said at its field, and stays to be corrected', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/pair?code=ab7kpnq3')
  await expect(page.getByLabel(/^Code/)).toHaveValue('AB7K-PNQ3')
  await page.getByRole('button', { name: 'Let it in' }).click()
  await expect(page.getByText('This code is unknown, used or too old. Start again on the device.')).toBeVisible()
  await expect(page.getByLabel(/^Code/)).toHaveValue('AB7K-PNQ3')
  await expect(page.getByLabel(/^Code/)).toHaveAttribute('aria-invalid', 'true')
})

test('a team without machines is told how to bring in the first, with commands to copy', async ({
  page,
  registry,
  signIn,
  context,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await inEmptyTeam(page, registry)
  await signIn(registry.owner, '/machines')
  const steps = page.getByRole('main')
  await expect(steps.getByRole('heading', { name: 'Bring in the first machine' })).toBeVisible()
  for (const command of ['pip install modelyard', 'modelyard agent run --comfyui ~/ComfyUI']) {
    await steps.getByRole('button', { name: `Copy “${command}”` }).click()
    await expect.poll(() => clipboard(page)).toBe(command)
  }
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`pairing and the empty list are accessible (${colorScheme})`, async ({ page, registry, signIn }) => {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width: 360, height: 740 })
    await inEmptyTeam(page, registry)
    await signIn(registry.owner, '/machines')
    await expect(page.getByRole('heading', { name: 'Bring in the first machine' })).toBeVisible()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Pair a machine' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await expectAccessible(page)
    await page.goto(`${registry.url}/pair?code=AB7K-PNQ3`)
    await expect(page.getByRole('heading', { name: 'Let a machine in' })).toBeVisible()
    await expectAccessible(page)
    await expectNarrow(page)
  })
}

/** Have the page begin in a team that was made a moment ago: other tests use the registry too. */
async function inEmptyTeam(page: Page, registry: Registry): Promise<void> {
  const made = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name: 'A new studio' })
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), made.id)
}
