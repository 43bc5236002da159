// Files that are dragged over the page: it says where they can be dropped, and can be used meanwhile.

import type { Page } from '@playwright/test'
import { expect, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { writeModelFile } from './uploadActions'

const test = withRegistry()

/** Drag files over the page and end that elsewhere, where the page is told nothing. */
async function dragOver(page: Page, ...files: string[]): Promise<void> {
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  const desktop = await page.context().newCDPSession(page)
  const data = { items: [], files, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver'] as const) {
    await desktop.send('Input.dispatchDragEvent', { type, x: 600, y: 400, data })
  }
  await desktop.detach()
}

/** The colour and the filter of what covers the middle of the window, if anything of the portal does. */
async function findCover(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('body *')]
      .filter((one) => {
        const { left, top, right, bottom } = one.getBoundingClientRect()
        return getComputedStyle(one).position === 'fixed' && left <= 600 && right >= 600 && top <= 400 && bottom >= 400
      })
      .map((one) => getComputedStyle(one))
      .map(({ backgroundColor, backdropFilter }) => `${backgroundColor} ${backdropFilter}`),
  )
}

for (const view of ['/models', '/upload']) {
  test(`files over ${view} are announced without covering it, and no longer once they are gone`, async ({
    page,
    registry,
    signIn,
  }) => {
    await registerModel(registry, `loras/below${view.replace('/', '-')}.safetensors`)
    await page.clock.install()
    await signIn(registry.owner, view)
    // From here on, time passes by `runFor` only: a browser would repeat the drag meanwhile.
    await page.clock.pauseAt(Date.now() + 60_000)
    const hint = page.getByText('Drop the files anywhere on this page')
    await expect(async () => {
      // What takes the files is loaded after the view.
      await dragOver(page, writeModelFile(registry, 'dragged.safetensors'))
      expect(await hint.isVisible()).toBe(true)
    }).toPass()
    for (const style of await findCover(page)) expect(style).toBe('rgba(0, 0, 0, 0) none')
    await page.clock.runFor(2_000)
    await expect(hint).toHaveCount(0)
  })
}
