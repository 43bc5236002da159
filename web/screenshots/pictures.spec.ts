// One picture for each place in the docs that shows the page. They are taken anew with `make screenshots`.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, withRegistry } from '../tests/fixtures'
import { createStudio } from './studio'

const test = withRegistry()

const IMAGES = join(import.meta.dirname, '../../docs/images')

/** What a picture shows last; before, it is not taken. */
const PICTURES: { name: string; view: (ids: string[]) => string; last: string; colorScheme?: 'dark' }[] = [
  { name: 'models', view: () => '/models', last: 'Kaori v3' },
  { name: 'model', view: (ids) => `/models/${ids.at(-1)}`, last: 'styles/inkwash_v2.safetensors', colorScheme: 'dark' },
  { name: 'machines', view: () => '/machines', last: 'Downloads start at 22:00.' },
  { name: 'matrix', view: () => '/machines?view=matrix', last: 'Blank: not sent here', colorScheme: 'dark' },
]

test('the screenshots of the documentation are taken', async ({ page, registry, signIn }) => {
  mkdirSync(IMAGES, { recursive: true })
  const { ids } = await createStudio(registry)
  await signIn(registry.owner, '/account')
  for (const { name, view, last, colorScheme = 'light' } of PICTURES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.goto(`${registry.url}${view(ids)}`)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
    await expect(page.getByText(last)).toBeVisible()
    await page.waitForLoadState('networkidle')
    await page.screenshot({ path: join(IMAGES, `${name}.png`) })
  }
})
