// A registry with very many models, inserted into its database as uploading them would take hours, and a signed-in page
// with an empty cache.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Browser, expect, type Page } from '@playwright/test'
import { type Person, Registry } from './registry'

const REPOSITORY = join(import.meta.dirname, '../..')

export async function startRegistryWithModels(count: number): Promise<Registry> {
  const registry = new Registry()
  // The first start creates the tables and the team.
  await registry.start()
  await registry.stop()
  execFileSync(
    join(REPOSITORY, '.venv/bin/python'),
    ['-m', 'bench.fill_registry', join(registry.home, 'data'), `${count}`],
    {
      cwd: REPOSITORY,
    },
  )
  await registry.start()
  return registry
}

/** Open a page in a new, signed-in browser context with an empty cache. */
export async function openSignedInPage(browser: Browser, registry: Registry): Promise<Page> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const answer = await page.request.post(`${registry.url}/api/v1/auth/login`, {
    headers: { 'X-Session': 'cookie', Origin: registry.url },
    data: { email_address: registry.owner.email, user_password: registry.owner.password } satisfies Login,
  })
  expect(answer.ok()).toBe(true)
  await page.addInitScript(() => localStorage.setItem('modelyard.signed-in', '1'))
  return page
}

interface Login {
  email_address: Person['email']
  user_password: Person['password']
}
