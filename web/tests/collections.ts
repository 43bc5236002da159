// Collections by the public API, and their rows on the page.

import type { Page } from '@playwright/test'
import { expect } from './fixtures'
import { registerModel } from './modelFiles'
import type { Person, Registry } from './registry'

interface Entry {
  model_id: string
  version?: number
}

interface Collection {
  version: number
  note: string | null
  model_list: Required<Entry>[]
}

export async function createModel(registry: Registry, path: string, facts: { by?: Person } = {}): Promise<string> {
  const { id } = await registerModel(registry, path, facts)
  await waitUntilVerified(registry, id, 1)
  return id
}

export async function waitUntilVerified(registry: Registry, id: string, version: number): Promise<void> {
  const read = () => registry.call<{ verification: string; version: number }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(read).toMatchObject({ verification: 'verified', version })
}

export async function createCollection(
  registry: Registry,
  name: string,
  ids: string[],
  by = registry.owner,
): Promise<string> {
  const model_list = ids.map((model_id) => ({ model_id }))
  const { id } = await registry.call<{ id: string }>(by, 'POST', '/collections', { name, model_list })
  return id
}

export function addVersion(registry: Registry, id: string, model_list: Entry[], by = registry.owner): Promise<unknown> {
  return registry.call(by, 'POST', `/collections/${id}/versions`, { model_list })
}

export function readCollection(registry: Registry, id: string): Promise<Collection> {
  return registry.call<Collection>(registry.owner, 'GET', `/collections/${id}`)
}

export async function listModelIds(registry: Registry, id: string): Promise<string[]> {
  return (await readCollection(registry, id)).model_list.map(({ model_id }) => model_id)
}

export function row(page: Page, table: string, text: string) {
  return page.getByRole('table', { name: table, exact: true }).getByRole('row').filter({ hasText: text })
}

export async function chooseRowAction(page: Page, name: string, action: string): Promise<void> {
  await page.getByRole('button', { name: `Actions for ${name}` }).click()
  await page.getByRole('menuitem', { name: action }).click()
}
