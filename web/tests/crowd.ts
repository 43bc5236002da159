// A registry with very many models, put into its database before it starts: uploading them would take hours. And a
// browser that meets it for the first time.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Browser, expect, type Page } from '@playwright/test'
import { type Person, Registry } from './registry'

const REPOSITORY = join(import.meta.dirname, '../..')

export async function crowded(count: number): Promise<Registry> {
  const registry = new Registry()
  // The first start makes the tables and the team.
  await registry.start()
  await registry.stop()
  execFileSync(join(REPOSITORY, '.venv/bin/python'), ['-m', 'bench.crowded', join(registry.home, 'data'), `${count}`], {
    cwd: REPOSITORY,
  })
  await registry.start()
  return registry
}

/** A browser with an empty cache that is signed in: what it loads on `/models` is a first load. */
export async function signedIn(browser: Browser, registry: Registry): Promise<Page> {
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
