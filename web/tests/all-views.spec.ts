// Every view in both colour schemes, on wide and narrow screens: accessibility, layout, and a screenshot in
// results/screens.

import { join } from 'node:path'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { createSampleTeam } from './sampleTeam'
import { buildFileName, VIEWS } from './views'

const test = withRegistry()

const SCREENS = join(import.meta.dirname, '../results/screens')
const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } }

let modelView = ''
let collectionView = ''

test.beforeAll(async ({ registry }) => {
  const { ids, collection } = await createSampleTeam(registry)
  modelView = `/models/${ids[1]}`
  collectionView = `/collections/${collection}`
})

for (const colorScheme of ['light', 'dark'] as const) {
  const tag = colorScheme === 'light' ? '@core' : '@extended'
  test.describe(colorScheme, { tag }, () => {
    test.use({ colorScheme })

    test('every view is accessible and fits wide and narrow screens', async ({ page, registry, signIn }) => {
      await signIn(registry.owner, '/account')
      for (const view of [...VIEWS, modelView, collectionView]) {
        for (const [size, viewport] of Object.entries(SIZES)) {
          await test.step(`${view} ${size}`, async () => {
            await page.setViewportSize(viewport)
            await page.goto(`${registry.url}${view}`)
            await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
            await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
            await expectAccessible(page)
            await page.screenshot({
              path: join(SCREENS, `${getName(view)}-${size}-${colorScheme}.png`),
            })
            await expectNoHorizontalScroll(page)
          })
        }
      }
    })
  })
}

function getName(view: string): string {
  if (view === modelView) return 'model'
  return view === collectionView ? 'collection' : buildFileName(view)
}
