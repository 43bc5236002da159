// The tokens that imports send to sources, in the settings of the team.

import { randomBytes } from 'node:crypto'
import type { Locator, Page } from '@playwright/test'
import { checkLooks, expect, withRegistry } from './fixtures'
import { type Sources, startRegistryWithSources } from './sources'

let sources: Sources

const test = withRegistry(
  startRegistryWithSources({ MODELYARD_SECRETS_KEY: randomBytes(32).toString('base64') }, (started) => {
    sources = started
  }),
)

const getPanel = (page: Page) => page.getByRole('region', { name: 'Tokens of sources' })

const getTokenField = (panel: Locator) => panel.getByRole('textbox', { name: 'Token', exact: true })

test('a token opens a gated source to imports, is never shown, and is removed again', async ({
  page,
  registry,
  signIn,
}) => {
  await sources.tell('gate')
  const link = `${sources.started.repository}/blob/main/ink.safetensors`
  const host = new URL(link).host
  const lookUp = () => registry.call(registry.owner, 'POST', '/imports/resolve', { url: link })
  await expect(lookUp()).rejects.toThrow(/gated/i)

  await signIn(await registry.person('admin'), '/team/settings')
  const panel = getPanel(page)
  // The address of a page is as good as its host.
  await panel.getByLabel('Host').fill(link)
  await getTokenField(panel).fill(sources.started.token)
  await panel.getByRole('button', { name: 'Set token' }).click()
  await expect(page.getByText(`Imports send the token to ${host}.`)).toBeVisible()
  const row = panel.getByRole('row', { name: host })
  await expect(row).toContainText('admin Tester')
  await expect(row).toContainText('in use')
  await expect(getTokenField(panel)).toHaveValue('')
  expect(await page.content()).not.toContain(sources.started.token)
  await lookUp()
  await panel.scrollIntoViewIfNeeded()
  await checkLooks(page, 'source-tokens')

  await row.getByRole('button', { name: `Remove the token for ${host}` }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await expect(row).toHaveCount(0)
  await expect(lookUp()).rejects.toThrow(/gated/i)
})

test('a host that is none is refused at its field, and the token stays entered', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  const panel = getPanel(page)
  await panel.getByLabel('Host').fill('hugging face')
  await getTokenField(panel).fill('hf_x')
  await panel.getByRole('button', { name: 'Set token' }).click()
  await expect(panel.getByLabel('Host')).toHaveAttribute('aria-invalid', 'true')
  await expect(getTokenField(panel)).toHaveValue('hf_x')
  await checkLooks(page, 'source-tokens-refused')
})
