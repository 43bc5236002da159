// What is only claimed or guessed of a model looks different from what its tensors show, or a person has entered.

import { formatBaseModel } from '../src/components/baseModel'
import { formatTriggerWord } from '../src/components/triggerWord'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { buildSafetensors, buildSdxlLora, registerModel } from './modelFiles'
import type { Registry } from './registry'

const test = withRegistry()

/** Register a LoRA whose file names Pony, one whose tensors alone tell the base model, and one of which a person does. */
async function registerClaims(registry: Registry): Promise<string> {
  const { id } = await registerModel(registry, 'loras/claim-pony.safetensors', { bytes: buildSdxlLora() })
  await registerModel(registry, 'loras/claim-none.safetensors', { bytes: buildSdxlLora() })
  await registerModel(registry, 'loras/claim-person.safetensors', { base_model: 'NoobAI', trigger_words: ['told'] })
  const metadata = {
    ss_tag_frequency: JSON.stringify({ '10_images': { inkwsh: 48 } }),
    ss_dataset_dirs: JSON.stringify({ '10_images': { img_count: 48 } }),
  }
  await registerModel(registry, 'loras/claim-guess.safetensors', { bytes: buildSafetensors(1024, metadata) })
  return id
}

test('a claimed base model and a guessed trigger word are marked on cards, in the table and on the page of a model', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  const id = await registerClaims(registry)
  const reason = 'Probably: a guess from the file name'
  await signIn(registry.owner, '/models?q=claim')
  const card = (name: string) =>
    page.getByRole('gridcell').filter({ has: page.getByRole('link', { name, exact: true }) })
  await expect(card('claim-pony')).toContainText(`Pony?. ${reason}`)
  await expect(card('claim-pony')).toContainText('probably Pony')
  await card('claim-pony').getByTitle(reason).hover()
  await expect(card('claim-none')).toContainText('SDXL 1.0')
  await expect(card('claim-person')).toContainText('NoobAI')
  const guess = card('claim-guess').getByRole('button', { name: 'Copy trigger word inkwsh, probably' })
  await expect(guess).toHaveText('inkwsh?')
  for (const name of ['claim-none', 'claim-person']) await expect(card(name)).not.toContainText(/probably|\?/i)
  await expectAccessible(page)
  await page.screenshot({ path: 'results/screenshots/claims-gallery.png' })

  await page.goto(`${registry.url}/models?q=claim&view=table`)
  const row = (name: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) })
  await expect(row('claim-pony')).toContainText(`Pony?. ${reason}`)
  await expect(row('claim-guess')).toContainText('probably inkwsh')
  for (const name of ['claim-none', 'claim-person']) await expect(row(name)).not.toContainText(/probably|\?/i)
  await expectAccessible(page)
  await page.screenshot({ path: 'results/screenshots/claims-table.png' })

  await page.goto(`${registry.url}/models/${id}`)
  await expect(page.getByRole('article', { name: 'Model' })).toContainText('LoRA · probably Pony · ')
  const what = page.getByRole('region', { name: 'What it is' })
  await expect(what).toContainText('probablyPony')
  await expect(what).toContainText('a guess from the file name')
})

test('formatBaseModel and formatTriggerWord put "probably" before what is not certain', { tag: '@core' }, () => {
  for (const source of ['sidecar', 'metadata', 'file_name'] as const) {
    expect(formatBaseModel({ base_model: 'Pony', base_source: source })).toBe('probably Pony')
  }
  for (const source of ['person', 'tensors'] as const) {
    expect(formatBaseModel({ base_model: 'Pony', base_source: source })).toBe('Pony')
  }
  expect(formatBaseModel({ base_model: null, base_source: null })).toBe('')
  expect(formatTriggerWord({ text: 'inkwsh', source: 'guess' })).toBe('probably inkwsh')
  expect(formatTriggerWord({ text: 'inkwsh', source: 'folder' })).toBe('inkwsh')
  expect(formatTriggerWord(undefined)).toBe('')
})
