// People of a registry as tests meet them: in a browser of their own, with a name, out of the team.

import type { Browser, Page } from '@playwright/test'
import { watch } from './page'
import type { Person, Registry, Role } from './registry'

/** A page in a browser that knows nobody; what goes wrong in it is written down as in the first. */
export async function otherPage(browser: Browser, mishaps: string[]): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await watch(page, mishaps)
  return page
}

interface Me {
  id: string
  display_name: string
}

export async function whoIs(registry: Registry, person: Person): Promise<Me> {
  return registry.call<Me>(person, 'GET', '/users/me')
}

export async function invited(
  registry: Registry,
  email_address: string,
  invitation_role: Exclude<Role, 'owner'> = 'member',
  by: Person = registry.owner,
): Promise<string> {
  const made = await registry.call<{ invitation_token: string }>(by, 'POST', '/invitations', {
    email_address,
    invitation_role,
  })
  return made.invitation_token
}

let number = 0

/** An address that nobody had before. */
export function freshEmail(): string {
  number += 1
  return `guest${number}-${process.pid}@studio.test`
}

/** What no name should be able to do: run, turn the text around, break the layout. */
export const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '\u202Egnp.exe\u202D',
  'Ｗ'.repeat(100),
  '💥\u200D🧨',
]

/** What was copied last. */
export function clipboard(page: Page): Promise<string> {
  return page.evaluate(() => navigator.clipboard.readText())
}
