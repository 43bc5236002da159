// Webhooks in the settings of the team, with a receiver on loopback that the registry may reach.

import type { Locator, Page } from '@playwright/test'
import { checkLooks, expect, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'
import { startRegistryWithReceiver, type WebhookReceiver } from './webhookReceiver'

let receiver: WebhookReceiver

const test = withRegistry(
  startRegistryWithReceiver((started) => {
    receiver = started
  }),
)

const getPanel = (page: Page) => page.getByRole('region', { name: 'Webhooks' })
const getWebhook = (page: Page, name: string): Locator => getPanel(page).getByRole('group', { name, exact: true })

async function createWebhook(registry: Registry, display_name: string): Promise<string> {
  const body = { display_name, url: receiver.url, event_list: ['model.registered'] }
  return (await registry.call<{ id: string }>(registry.owner, 'POST', '/webhooks', body)).id
}

async function deleteWebhooks(registry: Registry): Promise<void> {
  const { webhook_list } = await registry.call<{ webhook_list: { id: string }[] }>(registry.owner, 'GET', '/webhooks')
  for (const { id } of webhook_list) await registry.call(registry.owner, 'DELETE', `/webhooks/${id}`)
}

async function chooseAction(page: Page, name: string, action: string): Promise<void> {
  await page.getByRole('button', { name: `Actions for ${name}`, exact: true }).click()
  await page.getByRole('menuitem', { name: action }).click()
}

async function openDeliveries(page: Page, name: string): Promise<Locator> {
  await page.getByRole('button', { name: `Deliveries of ${name}`, exact: true }).click()
  return page.getByRole('dialog', { name: `Deliveries of “${name}”` })
}

test.beforeEach(async ({ registry }) => {
  await deleteWebhooks(registry)
  receiver.status = 204
  receiver.messages.length = 0
})

test('an admin adds a webhook, copies its secret once, and sees its deliveries', async ({ page, registry, signIn }) => {
  await signIn(await registry.person('admin'), '/team/settings')
  await getPanel(page).getByRole('button', { name: 'Add webhook' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add webhook' })
  await dialog.getByLabel('Name').fill('Studio chat')
  await dialog.getByLabel('Address').fill(receiver.url)
  await dialog.getByLabel('A version is verified').uncheck()
  await checkLooks(page, 'webhook-add')
  await dialog.getByRole('button', { name: 'Add webhook' }).click()
  const shown = page.getByRole('dialog', { name: 'The secret of the webhook' })
  await expect(shown.getByRole('group', { name: 'Secret' })).toContainText(/^Secretwhsec_/)
  await page.keyboard.press('Escape')
  await checkLooks(page, 'webhook-secret')
  await shown.getByRole('button', { name: 'Done' }).click()

  await expect(getWebhook(page, 'Studio chat')).toContainText(receiver.url)
  await registerModel(registry, 'loras/heard.safetensors')
  await expect.poll(() => receiver.messages.map(({ body }) => body.type)).toContain('model.registered')
  const deliveries = await openDeliveries(page, 'Studio chat')
  await deliveries.getByRole('button', { name: 'Send test' }).click()
  const sent = deliveries.getByRole('row').filter({ hasText: 'webhook.test' })
  await expect(sent).toContainText('Delivered')
  await checkLooks(page, 'webhook-deliveries')
  await deliveries.getByRole('button', { name: 'Close' }).click()
  await expect(getWebhook(page, 'Studio chat')).toContainText('Last delivery')
  await getPanel(page).scrollIntoViewIfNeeded()
  await checkLooks(page, 'webhooks')

  await chooseAction(page, 'Studio chat', 'Delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(getWebhook(page, 'Studio chat')).toHaveCount(0)
})

test('a delivery that failed is sent again', async ({ page, registry, signIn }) => {
  await createWebhook(registry, 'Build server')
  receiver.status = 500
  await signIn(registry.owner, '/team/settings')
  const deliveries = await openDeliveries(page, 'Build server')
  await expect(deliveries).toContainText('No deliveries yet.')
  await deliveries.getByRole('button', { name: 'Send test' }).click()
  const sent = deliveries.getByRole('row').filter({ hasText: 'webhook.test' })
  await expect(sent).toContainText('Failed')
  await expect(sent).toContainText('500')
  await checkLooks(page, 'webhook-delivery-failed')
  receiver.status = 204
  await sent.getByRole('button', { name: 'Send webhook.test again' }).click()
  await expect(sent).toContainText('Delivered')
  expect(new Set(receiver.messages.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
})

test('a webhook that its receiver ends says why it is disabled, and can be turned on', async ({
  page,
  registry,
  signIn,
}) => {
  await createWebhook(registry, 'Old chat')
  receiver.status = 410
  await registerModel(registry, 'loras/gone.safetensors')
  await signIn(registry.owner, '/team/settings')
  const webhook = getWebhook(page, 'Old chat')
  await expect(async () => {
    await page.reload()
    await expect(webhook.getByRole('alert')).toContainText('Disabled by the registry', { timeout: 1_000 })
  }).toPass()
  await expect(webhook.getByRole('switch')).not.toBeChecked()
  await webhook.scrollIntoViewIfNeeded()
  await checkLooks(page, 'webhook-disabled')
  receiver.status = 204
  await webhook.getByRole('switch').click()
  await expect(webhook.getByRole('alert')).toHaveCount(0)
  await expect(webhook.getByRole('switch')).toBeChecked()
})

test('the address and the events of a webhook are changed, and the secret is rotated', async ({
  page,
  registry,
  signIn,
}) => {
  const id = await createWebhook(registry, 'Chat')
  await signIn(registry.owner, '/team/settings')
  await chooseAction(page, 'Chat', 'Edit')
  const dialog = page.getByRole('dialog', { name: 'Edit webhook' })
  await expect(dialog.getByLabel('Address')).toHaveValue(receiver.url)
  await dialog.getByLabel('Address').fill('https://10.0.0.1/hooks')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(dialog.getByLabel('Address')).toHaveAttribute('aria-invalid', 'true')
  await checkLooks(page, 'webhook-edit')
  await dialog.getByLabel('Address').fill(`${receiver.url}/new`)
  await dialog.getByLabel('Name').fill('Team chat')
  await dialog.getByLabel('A model is registered').uncheck()
  await dialog.getByLabel('A version is verified').check()
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(dialog).toBeHidden()
  await expect(getWebhook(page, 'Team chat')).toContainText(`${receiver.url}/new`)
  expect(await registry.call(registry.owner, 'GET', `/webhooks/${id}`)).toMatchObject({
    url: `${receiver.url}/new`,
    event_list: ['model.verified'],
  })

  await chooseAction(page, 'Team chat', 'Rotate secret')
  const question = page.getByRole('dialog', { name: 'Rotate the secret?' })
  await checkLooks(page, 'webhook-rotate')
  await question.getByRole('button', { name: 'Rotate' }).click()
  const shown = page.getByRole('dialog', { name: 'The new secret' })
  await expect(shown.getByRole('group', { name: 'Secret' })).toContainText(/^Secretwhsec_/)
  await page.keyboard.press('Escape')
  await shown.getByRole('button', { name: 'Done' }).click()
  await expect(getWebhook(page, 'Team chat')).toContainText('The old secret signs too until')
  const deliveries = await openDeliveries(page, 'Team chat')
  await deliveries.getByRole('button', { name: 'Send test' }).click()
  await expect.poll(() => String(receiver.messages.at(-1)?.headers['webhook-signature']).split(' ').length).toBe(2)
})

test('an address that the registry may not reach is refused at its field', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/team/settings')
  await getPanel(page).getByRole('button', { name: 'Add webhook' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add webhook' })
  await dialog.getByLabel('Name').fill('Inside')
  await dialog.getByLabel('Address').fill('https://127.0.0.1/hooks')
  await dialog.getByRole('button', { name: 'Add webhook' }).click()
  await expect(dialog.getByLabel('Address')).toHaveAttribute('aria-invalid', 'true')
  await expect(dialog.getByLabel('Name')).toHaveValue('Inside')
  await checkLooks(page, 'webhook-refused')
})
