// Files that are dragged over the page: it says what a drop does, and can be read meanwhile.

import type { CDPSession, Page } from '@playwright/test'
import { expect, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Person, Registry } from './registry'
import { writeModelFile } from './uploadActions'

const test = withRegistry()

/** A drag of files from the desktop. */
class Drag {
  private constructor(
    private readonly page: Page,
    private readonly desktop: CDPSession,
    private readonly files: string[],
  ) {}

  static async create(page: Page, ...files: string[]): Promise<Drag> {
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    return new Drag(page, await page.context().newCDPSession(page), files)
  }

  async enter(): Promise<void> {
    await this.send('dragEnter')
    await this.move(600, 400)
  }

  async move(x: number, y: number): Promise<void> {
    await this.send('dragOver', x, y)
  }

  /** Cancel it, as Escape and leaving the window do; of that, the browser of the tests does not tell the page. */
  async cancel(): Promise<void> {
    await this.send('dragCancel')
    await this.page.evaluate(() => document.body.dispatchEvent(new DragEvent('dragleave', { bubbles: true })))
  }

  async drop(): Promise<void> {
    await this.send('drop')
  }

  private async send(type: 'dragEnter' | 'dragOver' | 'dragCancel' | 'drop', x = 600, y = 400): Promise<void> {
    const data = { items: [], files: this.files, dragOperationsMask: 1 }
    await this.desktop.send('Input.dispatchDragEvent', { type, x, y, data })
  }
}

/** Begin a drag until the page says so: on some views, what takes the files is loaded after the view. */
async function dragUntilShown(page: Page, registry: Registry, text: string): Promise<Drag> {
  const drag = await Drag.create(page, writeModelFile(registry, 'dragged.safetensors'))
  await expect(async () => {
    await drag.enter()
    expect(await page.getByText(text).isVisible()).toBe(true)
  }).toPass()
  return drag
}

/** Open a view and stop its clock, once it takes files: what it still loads needs timers. */
async function openAndPause(
  page: Page,
  registry: Registry,
  signIn: (person: Person, address: string) => Promise<void>,
  view: keyof typeof VIEWS,
): Promise<void> {
  await page.clock.install()
  await signIn(registry.owner, view)
  const drag = await dragUntilShown(page, registry, VIEWS[view])
  await drag.cancel()
  await expect(page.getByText(VIEWS[view])).toHaveCount(0)
  // From here on, time passes by `runFor` only: a browser would repeat the drag meanwhile.
  await page.clock.pauseAt(Date.now() + 60_000)
}

/** What is drawn over the middle of the window: the colour, filter and opacity of each element that is fixed there. */
async function findCovers(page: Page): Promise<string[]> {
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

const VIEWS = {
  '/models': 'Drop models to add them to the team',
  '/upload': 'Drop models, pictures or folders to add them',
  '/workflows': 'Drop workflows to check them',
}

for (const [view, text] of Object.entries(VIEWS) as [keyof typeof VIEWS, string][]) {
  test(`${view} says what a drop does while files are over it, and can be read below`, async ({
    page,
    registry,
    signIn,
  }) => {
    await registerModel(registry, `loras/below${view.replace('/', '-')}.safetensors`)
    await openAndPause(page, registry, signIn, view)
    const hint = page.getByText(text)
    const drag = await dragUntilShown(page, registry, text)
    const covers = await findCovers(page)
    expect(covers.length).toBeGreaterThan(0)
    for (const style of covers) expect(style).toBe('rgba(0, 0, 0, 0) none')
    const below = await page.evaluate(() => document.elementFromPoint(600, 400)?.closest('main') !== null)
    expect(below).toBe(true)
    expect((await hint.boundingBox())?.y).toBeGreaterThan(700)
    // From one element into another, and into one that is in it.
    for (const [x, y] of [
      [20, 20],
      [640, 20],
      [600, 300],
      [600, 400],
    ] as const) {
      await drag.move(x, y)
      await expect(hint).toBeVisible()
    }
    await drag.cancel()
    await expect(hint).toHaveCount(0)
  })
}

test('the hint ends although the page is not told that a drag ended', async ({ page, registry, signIn }) => {
  await openAndPause(page, registry, signIn, '/upload')
  const hint = page.getByText(VIEWS['/upload'])
  await dragUntilShown(page, registry, VIEWS['/upload'])
  await page.clock.runFor(2_000)
  await expect(hint).toHaveCount(0)
})

test('a drop ends the hint and begins what it said', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/models')
  const drag = await dragUntilShown(page, registry, VIEWS['/models'])
  await drag.drop()
  await expect(page).toHaveURL(/\/upload$/)
  await expect(page.getByText('dragged.safetensors').first()).toBeVisible()
  await expect(page.getByText(/^Drop models, pictures or folders to add them$/)).toHaveCount(0)
  await expect(page.getByText(VIEWS['/models'])).toHaveCount(0)
})

test('a file over the upload of a next version, or over the page of a model, is announced as that', async ({
  page,
  registry,
  signIn,
}) => {
  const { id } = await registerModel(registry, 'loras/announced.safetensors')
  await signIn(registry.owner, `/upload?model=${id}`)
  await expect(page.getByText('It becomes the next version of')).toBeVisible()
  await dragUntilShown(page, registry, 'Drop a file as the next version of announced')
  await page.goto(`${registry.url}/models/${id}`)
  const drag = await dragUntilShown(page, registry, 'Drop a picture for this model')
  await drag.cancel()
  await expect(page.getByText('Drop a picture for this model')).toHaveCount(0)
})

test('files that are dropped while a dialog is open are ignored, and what was typed there stays', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/models')
  const drag = await dragUntilShown(page, registry, 'Drop models to add them to the team')
  await drag.cancel()
  await page.getByRole('banner').getByRole('link', { name: 'Add from link' }).click()
  const field = page.getByRole('dialog', { name: 'Add from link' }).getByRole('textbox').first()
  await field.fill('https://example.com/typed.safetensors')
  await drag.enter()
  await drag.drop()
  await expect(page.getByText('Drop models to add them to the team')).toHaveCount(0)
  await expect(page.getByText('Files to upload')).toHaveCount(0)
  await expect(field).toHaveValue('https://example.com/typed.safetensors')
})
