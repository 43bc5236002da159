// Users of a registry: a browser of their own, their record, and invitations.

import type { Browser, Page } from '@playwright/test'
import { recordPageErrors } from './fixtures'
import type { Person, Registry, Role } from './registry'

/** Open a page in a new, signed-out browser context; its errors are recorded with those of the test. */
export async function openPageInOtherBrowser(browser: Browser, pageErrors: string[]): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await recordPageErrors(page, pageErrors)
  return page
}

interface Me {
  id: string
  display_name: string
}

export async function getCurrentUser(registry: Registry, person: Person): Promise<Me> {
  return registry.call<Me>(person, 'GET', '/users/me')
}

export async function createInvitation(
  registry: Registry,
  email_address: string,
  invitation_role: Exclude<Role, 'owner'> = 'member',
  by: Person = registry.owner,
): Promise<string> {
  const created = await registry.call<{ invitation_token: string }>(by, 'POST', '/invitations', {
    email_address,
    invitation_role,
  })
  return created.invitation_token
}

let number = 0

/** Return an e-mail address that is not used yet. */
export function createEmail(): string {
  number += 1
  return `guest${number}-${process.pid}@studio.test`
}

/** Names that try to run scripts or to break the layout. The registry refuses those that reverse the text direction. */
export const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', 'Ｗ'.repeat(100), '💥\u200D🧨']

/** Return the text on the clipboard. */
export function readClipboard(page: Page): Promise<string> {
  return page.evaluate(() => navigator.clipboard.readText())
}
