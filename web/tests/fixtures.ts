// Fixtures of every test: a registry shared by the tests of one file, and a page that records errors and policy violations.
// Its brief messages stay until they are used.
//
//     const test = withRegistry()
//
//     test('typing a part of a name filters the model list', async ({ page, registry, signIn }) => {
//       await registered(registry, 'loras/ink.safetensors')
//       await signIn(registry.owner, '/models')

import AxeBuilder from '@axe-core/playwright'
import { expect, type Page, test } from '@playwright/test'
import { type Person, Registry } from './registry'

export { expect } from '@playwright/test'

interface PerTest {
  /** Sign in as this person with the form, and open the URL. */
  signIn: (person: Person, address?: string, page?: Page) => Promise<void>
  /** Script errors, dialogs and violations of the content security policy; a test fails if there is one. */
  pageErrors: string[]
}

/** Starts a registry, passes it to `use`, and closes it afterwards. */
type RegistryProvider = (use: (registry: Registry) => Promise<void>) => Promise<void>

/** Provide a registry with these settings. */
export function startRegistry(settings: Record<string, string> = {}): RegistryProvider {
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
 * Return a `test` function whose tests share one registry, for one file. Sharing it between files would make results
 * depend on the order in which two workers run the files.
 */
export function withRegistry(provider: RegistryProvider = startRegistry()) {
  return withPage.extend<object, { registry: Registry }>({
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from this pattern.
    registry: [async ({}, use) => provider(use), { scope: 'worker', timeout: 600_000 }],
  })
}

const withPage = test.extend<PerTest, { registry: Registry }>({
  registry: [
    () => {
      throw new Error('The tests of a file begin with withRegistry().')
    },
    { scope: 'worker' },
  ],
  pageErrors: [
    async ({ page }, use) => {
      const pageErrors: string[] = []
      await recordPageErrors(page, pageErrors)
      await keepBriefMessages(page)
      await use(pageErrors)
      // A request of the page may still be in a route of the test.
      await page.unrouteAll({ behavior: 'ignoreErrors' })
      expect(pageErrors).toEqual([])
    },
    { auto: true },
  ],
  signIn: async ({ page, registry }, use) => {
    await use(async (person, address = '/', inPage = page) => {
      await inPage.goto(new URL(address, registry.url).href)
      await inPage.getByLabel('E-mail').fill(person.email)
      await inPage.getByLabel(/^Password/).fill(person.password)
      await inPage.getByRole('button', { name: 'Sign in' }).click()
      await expect(inPage.getByRole('navigation', { name: 'Views' })).toBeVisible()
    })
  },
})

/** Record uncaught errors, dialogs and content security policy violations of a page. */
export async function recordPageErrors(page: Page, pageErrors: string[]): Promise<void> {
  await page.exposeFunction('__mishap', (text: string) => pageErrors.push(text))
  await page.addInitScript(() => {
    const tell = (text: string) => (window as unknown as { __mishap(text: string): void }).__mishap(text)
    document.addEventListener('securitypolicyviolation', (event) => {
      tell(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`)
    })
    for (const name of ['alert', 'confirm', 'prompt'] as const) {
      window[name] = () => tell(`a script ran: ${name}`) as never
    }
  })
  page.on('pageerror', (error) => pageErrors.push(`error: ${error.message}`))
}

/**
 * Keep "Copied" (1.5 s) and notices with an undo button (10 s) for minutes, so that a slow machine can read and use them.
 * A cancelled upload, which the notice restores, is aborted as late. No other timer of the page has these durations.
 */
async function keepBriefMessages(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const setTimer = window.setTimeout.bind(window)
    const stretch = (milliseconds = 0) => milliseconds * ([1_500, 10_000].includes(milliseconds) ? 60 : 1)
    window.setTimeout = ((handler: TimerHandler, milliseconds?: number, ...values: unknown[]) =>
      setTimer(handler, stretch(milliseconds), ...values)) as typeof window.setTimeout
  })
}

/** Open one of the team's views by the navigation: the header's "Team", then its tab. */
export async function openTeamView(page: Page, name: 'Members' | 'Keys' | 'History' | 'Team settings'): Promise<void> {
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Team' }).click()
  await page.getByRole('navigation', { name: 'Team' }).getByRole('link', { name, exact: true }).click()
}

/** Expect that axe finds no violation of WCAG 2.2 AA, once animations have ended. */
export async function expectAccessible(page: Page): Promise<void> {
  // Colours in transition fail the contrast check, and an animation may begin only after the first check.
  await expect.poll(() => findViolations(page)).toEqual([])
}

/** Expect that the page does not scroll horizontally, once animations have ended. */
export async function expectNoHorizontalScroll(page: Page, message = 'wider than the window by'): Promise<void> {
  await waitForAnimations(page)
  const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  await expect.poll(overhang, { message }).toBeLessThanOrEqual(0)
}

/** Check what is shown on wide and narrow screens in both colour schemes, and take screenshots in results/screens. */
export async function checkLooks(page: Page, name: string): Promise<void> {
  // No tooltip of what comes to be under the mouse.
  await page.mouse.move(0, 0)
  for (const width of [1440, 380]) {
    await page.setViewportSize({ width, height: 900 })
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await expectNoHorizontalScroll(page)
      // Each scheme once, and each width: a check takes seconds.
      if ((width === 1440) === (colorScheme === 'light')) await expectAccessible(page)
      await page.screenshot({ path: `results/screens/${name}-${width}-${colorScheme}.png` })
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.emulateMedia({ colorScheme: 'light' })
}

async function waitForAnimations(page: Page): Promise<void> {
  await page.waitForFunction(() => document.getAnimations().every((one) => one.playState !== 'running'))
}

async function findViolations(page: Page): Promise<string[]> {
  await waitForAnimations(page)
  // The default opens a second page for each check, to join the results of frames of other origins: there are none.
  // What passed is not needed, and describing each of its elements takes longer than the rules do.
  const found = await new AxeBuilder({ page })
    .setLegacyMode()
    .options({ resultTypes: ['violations'] })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`)
}
