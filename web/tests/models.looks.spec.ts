// The model views: accessibility in both colour schemes, narrow screens, keyboard use and hostile metadata.

import type { Page } from '@playwright/test'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { chooseModelAction } from './modelActions'
import { buildSafetensors, registerModel } from './modelFiles'
import { removeDirectionMarks } from './sampleTeam'

const test = withRegistry()

const HOSTILE = [
  '<script>alert(1)</script><img src=x onerror=alert(1)>',
  '\u202Egpj.exe\u202C\u2066\u2067 right to left',
  '漢'.repeat(255),
  'W'.repeat(255),
  '👩‍👩‍👧‍👦🏳️‍🌈'.repeat(12),
  'Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘',
  'javascript:alert(1)',
  '{{alert(1)}}',
]

async function expectNoOverflow(page: Page): Promise<void> {
  const tooWide = () => {
    const { scrollWidth, clientWidth } = document.documentElement
    const dialog = document.querySelector('[role=dialog]')
    return scrollWidth - clientWidth + (dialog ? dialog.scrollWidth - dialog.clientWidth : 0)
  }
  await expect.poll(() => page.evaluate(tooWide)).toBe(0)
}

for (const scheme of ['light', 'dark'] as const) {
  test(`every view and dialog of models is accessible in ${scheme}`, async ({ page, registry, signIn }) => {
    const word = `seen-${scheme}`
    const model = await registerModel(registry, `loras/${word}.safetensors`, {
      tags: ['portrait'],
      description: 'Our house style.',
      license: 'MIT',
      source_url: 'https://models.example/1',
      required_labels: ['gpu24'],
    })
    await page.emulateMedia({ colorScheme: scheme })
    await signIn(registry.owner, `/models?q=${word}`)
    await expect(page.getByRole('link', { name: word })).toBeVisible()
    await expectAccessible(page)
    await page.screenshot({ path: `results/screenshots/models-${scheme}.png` })
    await page.getByRole('checkbox', { name: `Select ${word}` }).click()
    await expectAccessible(page)
    await page.getByRole('region', { name: 'Selected models' }).getByRole('button', { name: 'Edit tags' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Clear selection' }).click()
    await page.getByRole('link', { name: word }).click()
    await expect(page.getByRole('dialog').getByRole('region', { name: 'History' })).toContainText('registered loras/')
    await expectAccessible(page)
    await page.screenshot({ path: `results/screenshots/models-details-${scheme}.png` })
    await chooseModelAction(page, 'Edit')
    await expect(page.getByRole('dialog').getByRole('button', { name: 'Save' })).toBeVisible()
    await expectAccessible(page)
    await page.goto(`${registry.url}/models?view=table&q=${word}`)
    await expect(page.getByRole('link', { name: word })).toBeVisible()
    await expectAccessible(page)
    await registry.call(registry.owner, 'DELETE', `/models/${model.id}`)
    await page.goto(`${registry.url}/models?trash=true&q=${word}`)
    await expect(page.getByRole('button', { name: `Restore ${word}` })).toBeVisible()
    await expectAccessible(page)
  })
}

test('hostile model metadata runs no script and fits the layout on wide and narrow screens', async ({
  page,
  registry,
  signIn,
}) => {
  const created: string[] = []
  for (const [number, text] of HOSTILE.entries()) {
    const { id } = await registerModel(registry, `loras/hostile_${number}.safetensors`, {
      bytes: buildSafetensors(64, { 'modelspec.trigger_phrase': text, 'modelspec.author': text }),
      display_name: [...removeDirectionMarks(text)]
        .slice(0, 255)
        .join('')
        .slice(0, 255)
        .replace(/[\ud800-\udbff]$/, ''),
      tags: [[...removeDirectionMarks(text)].slice(0, 24).join('')],
      description: `${text}\n${text}`,
      license: [...text].slice(0, 80).join(''),
      source_url: `https://models.example/${encodeURIComponent(text).slice(0, 1500)}`,
      required_labels: ['W'.repeat(64)],
    })
    created.push(id)
  }
  await signIn(registry.owner, '/models?q=hostile_')
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 })
    await page.goto(`${registry.url}/models?view=table&q=hostile_`)
    // One more for the heads of the columns.
    await expect(page.getByRole('row')).toHaveCount(HOSTILE.length + 1)
    await expectNoOverflow(page)
    const heights = await page
      .getByRole('row')
      .filter({ has: page.getByRole('checkbox', { name: /^Select (?!all)/ }) })
      .evaluateAll((rows) => rows.map((row) => Math.round(row.getBoundingClientRect().height)))
    expect(new Set(heights)).toEqual(new Set([width === 360 ? 56 : 44]))
    await page.goto(`${registry.url}/models?q=hostile_`)
    await expect(page.getByRole('link', { name: 'javascript:alert(1)' })).toBeVisible()
    await expectNoOverflow(page)
    for (const id of created) {
      await page.goto(`${registry.url}/models?q=hostile_&model=${id}`)
      await expect(page.getByRole('dialog').getByRole('region', { name: 'History' })).toContainText('registered loras/')
      await expectNoOverflow(page)
    }
  }
  await expectAccessible(page)
})
