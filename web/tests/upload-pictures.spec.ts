// Pictures that are dropped with models, or alone for models that the team has already.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { writePng } from './pictures'
import type { Registry } from './registry'
import { drop, writeModelFile } from './uploadActions'

const test = withRegistry()

const GREEN: [number, number, number] = [30, 160, 60]

async function countPictures(registry: Registry, q: string): Promise<number> {
  const found = await registry.call<{ model_list: { preview_url: string | null }[] }>(
    registry.owner,
    'GET',
    `/models?q=${q}`,
  )
  return found.model_list.filter(({ preview_url }) => preview_url !== null).length
}

test('a picture that is dropped with a model of its name becomes its preview', async ({ page, registry, signIn }) => {
  writeModelFile(registry, 'pair/models/loras/paired.safetensors')
  writePng(join(registry.home, 'files/pair/models/loras/paired.preview.png'), GREEN)
  writePng(join(registry.home, 'files/pair/models/generated-0001.png'), GREEN)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/pair/models'))
  await expect(page.getByText('Picture from paired.preview.png')).toBeVisible()
  await expect(page.getByRole('heading', { name: 'Pictures for models' })).toHaveCount(0)
  await expectAccessible(page)
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  await expect.poll(() => countPictures(registry, 'paired')).toBe(1)
})

test('twelve LoRAs get their pictures by one drop, which can be undone', async ({ page, registry, signIn }) => {
  const names = Array.from({ length: 12 }, (_, index) => `dozen-${index + 1}`)
  for (const name of names) await registerModel(registry, `loras/${name}.safetensors`)
  const folder = join(registry.home, 'files/dozen')
  mkdirSync(folder, { recursive: true })
  const pictures = [...names, 'unmatched'].map((name) => writePng(join(folder, `${name}.png`), GREEN))
  await signIn(registry.owner, '/upload')
  await drop(page, ...pictures)
  await expect(page.getByRole('listitem', { name: 'unmatched.png' })).toContainText('No model has this name.')
  await expect(page.getByRole('listitem', { name: 'dozen-1.png' })).toContainText('Picture of dozen-1')
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Set 12 pictures' }).click()
  await expect(page.getByText('12 pictures set')).toBeVisible()
  expect(await countPictures(registry, 'dozen')).toBe(12)
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await expect.poll(() => countPictures(registry, 'dozen')).toBe(0)
})

test('pictures that are dropped on the list of models are offered to those with their names', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'loras/from-list.safetensors')
  mkdirSync(join(registry.home, 'files/list'), { recursive: true })
  const picture = writePng(join(registry.home, 'files/list/from-list.preview.png'), GREEN)
  await signIn(registry.owner, '/models')
  await drop(page, picture)
  await expect(page.getByRole('listitem', { name: 'from-list.preview.png' })).toContainText('Picture of from-list')
  await page.getByRole('button', { name: 'Set 1 picture' }).click()
  await expect.poll(() => countPictures(registry, 'from-list')).toBe(1)
})

test('pictures stay offered when others are dropped, and the first 200 are looked up', async ({
  page,
  registry,
  signIn,
}) => {
  await registerModel(registry, 'loras/offered.safetensors')
  await registerModel(registry, 'loras/later.safetensors')
  const folder = join(registry.home, 'files/offers')
  mkdirSync(folder, { recursive: true })
  const write = (name: string) => writePng(join(folder, `${name}.png`), GREEN)
  await signIn(registry.owner, '/upload')
  await drop(page, write('offered'))
  await drop(page, write('later'))
  await expect(page.getByRole('listitem', { name: 'offered.png' })).toContainText('Picture of offered')
  await expect(page.getByRole('listitem', { name: 'later.png' })).toContainText('Picture of later')
  await drop(page, writeModelFile(registry, 'loras/other.safetensors'))
  await expect(page.getByRole('heading', { name: 'Pictures for models' })).toBeVisible()
  let lookups = 0
  page.on('request', (request) => {
    if (request.url().includes('/api/v1/models?') && request.url().includes('zz-')) lookups += 1
  })
  await drop(page, ...Array.from({ length: 201 }, (_, index) => write(`zz-${index}`)))
  await expect(page.getByText('These are the first 200 of 203 pictures.')).toBeVisible()
  await expect(page.getByRole('listitem', { name: 'offered.png' })).toContainText('Picture of offered')
  expect(lookups).toBeLessThanOrEqual(198)
})

test('a drop counts if the element below the pointer changes just before it', async ({ page, registry, signIn }) => {
  mkdirSync(join(registry.home, 'files/moved'), { recursive: true })
  const files = [writePng(join(registry.home, 'files/moved/moved.png'), GREEN)]
  await signIn(registry.owner, '/upload')
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  const desktop = await page.context().newCDPSession(page)
  const drag = (type: 'dragEnter' | 'dragOver' | 'drop') =>
    desktop.send('Input.dispatchDragEvent', {
      type,
      x: 600,
      y: 400,
      data: { items: [], files, dragOperationsMask: 1 },
    })
  await drag('dragEnter')
  await drag('dragOver')
  await page.evaluate(() => {
    const cover = document.createElement('div')
    Object.assign(cover.style, { position: 'fixed', inset: '0', zIndex: '10000' })
    document.body.append(cover)
  })
  await drag('drop')
  await expect(page.getByRole('listitem', { name: 'moved.png' })).toContainText('No model has this name.')
})
