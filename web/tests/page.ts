// What every test begins with: a registry that no other file meets, and a page that notices what should never happen.
//
//     const test = withRegistry()
//
//     test('a model is found by a part of its name', async ({ page, registry, signIn }) => {
//       await registered(registry, 'loras/ink.safetensors')
//       await signIn(registry.owner, '/models')

import AxeBuilder from '@axe-core/playwright'
import { test as base, expect, type Page } from '@playwright/test'
import { type Person, Registry } from './registry'

export { expect } from '@playwright/test'

interface PerTest {
  /** Open an address as this person, through the form. */
  signIn: (person: Person, address?: string, page?: Page) => Promise<void>
  /** Scripts that failed, and what the policy forbade: both are none, in every test. */
  mishaps: string[]
}

/** Starts a registry, lends it out, and ends it. */
type Lender = (use: (registry: Registry) => Promise<void>) => Promise<void>

/** A registry with these settings. */
export function started(settings: Record<string, string> = {}): Lender {
  return async (use) => {
    const registry = new Registry()
    try {
      await registry.start(settings)
      await use(registry)
    } finally {
      await registry.close()
    }
  }
}

/**
 * The tests of one file, which share one registry. With the registry of another file they would depend on the order in
 * which two workers come to their files.
 */
export function withRegistry(lender: Lender = started()) {
  return withPage.extend<object, { registry: Registry }>({
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from this pattern.
    registry: [async ({}, use) => lender(use), { scope: 'worker', timeout: 120_000 }],
  })
}

const withPage = base.extend<PerTest, { registry: Registry }>({
  registry: [
    () => {
      throw new Error('The tests of a file begin with withRegistry().')
    },
    { scope: 'worker' },
  ],
  mishaps: [
    async ({ page }, use) => {
      const mishaps: string[] = []
      await watch(page, mishaps)
      await use(mishaps)
      expect(mishaps).toEqual([])
    },
    { auto: true },
  ],
  signIn: async ({ page, registry }, use) => {
    await use(async (person, address = '/', inPage = page) => {
      await inPage.goto(new URL(address, registry.url).href)
      await inPage.getByLabel('E-mail').fill(person.email)
      await inPage.getByLabel(/^Password/).fill(person.password)
      await inPage.getByRole('button', { name: 'Sign in' }).click()
      await expect(inPage.getByRole('navigation', { name: 'Views' }).or(inPage.getByLabel('Menu'))).not.toHaveCount(0)
    })
  },
})

/** Write down everything that goes wrong in a page of which no person would be told. */
export async function watch(page: Page, mishaps: string[]): Promise<void> {
  await page.exposeFunction('__mishap', (text: string) => mishaps.push(text))
  await page.addInitScript(() => {
    const tell = (text: string) => (window as unknown as { __mishap(text: string): void }).__mishap(text)
    document.addEventListener('securitypolicyviolation', (event) => {
      tell(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`)
    })
    for (const name of ['alert', 'confirm', 'prompt'] as const) {
      window[name] = () => tell(`a script ran: ${name}`) as never
    }
  })
  page.on('pageerror', (error) => mishaps.push(`error: ${error.message}`))
}

/** No violation of WCAG 2.2 AA that axe can find in what is shown, once it has come to rest. */
export async function expectAccessible(page: Page): Promise<void> {
  // A moving colour has no contrast; and what moves may begin to only after a first look.
  await expect.poll(() => violations(page), { timeout: 30_000 }).toEqual([])
}

/** The page itself is not scrolled sideways, once it has come to rest in its narrow form. */
export async function expectNarrow(page: Page, message = 'wider than the window by'): Promise<void> {
  await atRest(page)
  const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  await expect.poll(overhang, { message }).toBeLessThanOrEqual(0)
}

async function atRest(page: Page): Promise<void> {
  await page.waitForFunction(() => document.getAnimations().every((one) => one.playState !== 'running'))
}

async function violations(page: Page): Promise<string[]> {
  await atRest(page)
  const found = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`)
}
