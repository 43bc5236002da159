// Pictures and details beside models that are dropped: which belong to which model, and what is sent of them.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PickedFile } from '../src/features/upload/engine/readFiles'
import { pairSidecars } from '../src/features/upload/sidecars/pairSidecars'
import { readSidecarDetails } from '../src/features/upload/sidecars/readDetails'
import { expect, expectAccessible, withRegistry } from './fixtures'
import { buildPng, writePng } from './pictures'
import type { Registry } from './registry'
import { drop, expectUploaded, writeModelFile } from './uploadActions'

const test = withRegistry()

/** A text, or a text with how often it is repeated. */
type Piece = string | [text: string, times: number]
type Content = { json: unknown } | { text: string } | { hex: string } | { pieces: Piece[] }

interface Cases {
  hash: string
  pictures: { model: string; beside: string[]; picture: string | null }[]
  details: {
    name: string
    files: Record<string, Content>
    details: {
      suffix: string
      base_model: string | null
      trigger_words: Piece[]
      license?: string
      author?: string
    } | null
  }[]
}

// The tests of the command line read the same file: tests/client/test_sidecars.py.
const CASES = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../tests/client/sidecar_cases.json'), 'utf8'),
) as Cases
const RED: [number, number, number] = [180, 40, 40]

function repeat(piece: Piece): string {
  return typeof piece === 'string' ? piece : piece[0].repeat(piece[1])
}

function buildContent(content: Content): Buffer {
  if ('hex' in content) return Buffer.from(content.hex, 'hex')
  if ('pieces' in content) return Buffer.from(content.pieces.map(repeat).join(''))
  return Buffer.from('json' in content ? JSON.stringify(content.json) : content.text)
}

/** A picked file of this path, with this content. */
function pick(relativePath: string, content: Buffer = Buffer.alloc(0)): PickedFile {
  return { relativePath, file: new File([new Uint8Array(content)], relativePath.split('/').at(-1) ?? '') }
}

test('the page finds the same pictures beside models as the command line', { tag: '@core' }, () => {
  expect(CASES.pictures.length).toBeGreaterThan(10)
  for (const { model, beside, picture } of CASES.pictures) {
    const [one, files] = [pick(`loras/${model}`), beside.map((name) => pick(`loras/${name}`))]
    const found = pairSidecars([one], files).pairs.get(one)?.picture
    expect(found?.file.name ?? null, `${model} beside ${beside}`).toBe(picture)
  }
})

test('the page reads the same details beside models as the command line', { tag: '@core' }, async () => {
  expect(CASES.details.length).toBeGreaterThan(40)
  for (const { name, files, details } of CASES.details) {
    const model = pick('ink.v2.safetensors')
    const picked = Object.entries(files).map(([suffix, content]) => pick(`ink.v2${suffix}`, buildContent(content)))
    const paired = pairSidecars([model], picked).pairs.get(model)?.details ?? []
    const found = await readSidecarDetails(
      paired.map(({ file }) => file),
      `sha256:${CASES.hash}`,
    )
    const described = found && {
      suffix: found.name.slice('ink.v2'.length),
      base_model: found.baseModel ?? null,
      trigger_words: found.triggerWords,
      ...(found.license && { license: found.license }),
      ...(found.author && { author: found.author }),
    }
    const expected = details && { ...details, trigger_words: details.trigger_words.map(repeat) }
    expect(described ?? null, name).toEqual(expected)
  }
})

test('pairSidecars gives the files of a stem to every model in their folder that has it', () => {
  const models = ['a/ink.safetensors', 'a/ink.ckpt'].map((path) => pick(path))
  const { pairs, alone } = pairSidecars(models, [pick('a/ink.png'), pick('a/ink.civitai.info')])
  const found = models.map((model) => [pairs.get(model)?.picture, pairs.get(model)?.details[0]])
  expect(found.map((files) => files.map((one) => one?.relativePath))).toEqual([
    ['a/ink.png', 'a/ink.civitai.info'],
    ['a/ink.png', 'a/ink.civitai.info'],
  ])
  expect(alone).toEqual([])
})

test('pairSidecars takes another spelling or folder if only one model has the stem, and nothing of its kind', () => {
  const models = ['a/ink.safetensors', 'b/ink.safetensors', 'b/moss.ckpt'].map((path) => pick(path))
  const files = ['b/ink.png', 'b/ink.preview.webp', 'b/INK.jpg', 'c/Moss.JPG', 'c/ink.png', 'c/else.png']
  const details = ['c/MOSS.civitai.info', 'b/moss.metadata.json', 'c/ink.civitai.info']
  const { pairs, alone } = pairSidecars(
    models,
    [...files, ...details].map((path) => pick(path)),
  )
  const found = [...pairs].map(([model, { picture, details }]) => {
    return [model.relativePath, picture?.relativePath, ...details.map(({ relativePath }) => relativePath)]
  })
  expect(found).toEqual([
    ['b/ink.safetensors', 'b/ink.preview.webp'],
    ['b/moss.ckpt', 'c/Moss.JPG', 'b/moss.metadata.json'],
  ])
  expect(alone.map(({ relativePath }) => relativePath)).toEqual(['c/ink.civitai.info', 'c/ink.png', 'c/else.png'])
})

interface Listed {
  display_name: string
  preview_url: string | null
  base_model: string | null
  trigger_words: { text: string; source: string }[]
}

async function listModels(registry: Registry, q: string): Promise<Listed[]> {
  const path = `/models?q=${q}&per_page=50`
  return (await registry.call<{ model_list: Listed[] }>(registry.owner, 'GET', path)).model_list
}

/** Write a file beside the models of a test; returns its path. */
function writeBeside(registry: Registry, name: string, content: string | Buffer): string {
  const path = join(registry.home, 'files', name)
  writeFileSync(path, content)
  return path
}

test('twelve LoRAs that are dropped with their pictures get them by one drop', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const folder = 'twelve/models/loras'
  const names = Array.from({ length: 12 }, (_, index) => `twelfth-${index + 1}`)
  for (const [index, name] of names.entries()) {
    writeModelFile(registry, `${folder}/${name}.safetensors`)
    writePng(join(registry.home, 'files', folder, `${name}${index % 2 ? '.preview' : ''}.png`), RED)
  }
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/twelve/models'))
  await expect(page.getByText(/^Picture from twelfth-\d+(\.preview)?\.png$/)).toHaveCount(12)
  await expectAccessible(page)
  await page.getByRole('button', { name: /^Upload 12 files/ }).click()
  const countPictures = async () => (await listModels(registry, 'twelfth')).filter((one) => one.preview_url).length
  await expect.poll(countPictures).toBe(12)
})

test('details beside a model are shown, and sent if they are of its file', { tag: '@core' }, async ({
  page,
  registry,
  signIn,
}) => {
  const folder = 'described/models/loras'
  for (const name of ['stated', 'foreign', 'declined']) writeModelFile(registry, `${folder}/${name}.safetensors`)
  const details = { baseModel: 'Pony', trainedWords: ['inkwash\udfff', 'ink wash'] }
  writeBeside(registry, `${folder}/stated.civitai.info`, JSON.stringify(details))
  writeBeside(registry, `${folder}/foreign.civitai.info`, JSON.stringify({ ...details, sha256: 'cd'.repeat(32) }))
  writeBeside(registry, `${folder}/declined.metadata.json`, JSON.stringify(details))
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/described/models'))
  const shown = 'Base model Pony, trigger words inkwash, ink wash from'
  await expect(page.getByText(`${shown} stated.civitai.info`)).toBeVisible()
  await page.getByRole('button', { name: 'Remove details declined.metadata.json' }).click()
  await expect(page.getByText(`${shown} declined.metadata.json`)).toHaveCount(0)
  await expectAccessible(page)
  await page.getByRole('button', { name: /^Upload 3 files/ }).click()
  for (const name of ['stated', 'foreign', 'declined']) await expectUploaded(page, `models/loras/${name}.safetensors`)
  const [stated] = await listModels(registry, 'stated.safetensors')
  expect(stated?.base_model).toBe('Pony')
  expect(stated?.trigger_words.map(({ text, source }) => [text, source])).toEqual([
    ['inkwash', 'sidecar'],
    ['ink wash', 'sidecar'],
  ])
  for (const name of ['foreign', 'declined']) {
    const [model] = await listModels(registry, `${name}.safetensors`)
    expect([model?.base_model, model?.trigger_words], name).toEqual([null, []])
  }
})

test('a model is uploaded whatever the files beside it contain', async ({ page, registry, signIn }) => {
  const folder = 'damaged/models/loras'
  const contents = ['{not json', '{"a":'.repeat(100_000), `{"a": "${'x'.repeat(2 ** 22)}"}`, Buffer.from([0xff, 0xfe])]
  for (const [index, content] of contents.entries()) {
    writeModelFile(registry, `${folder}/damaged-${index}.safetensors`)
    writeBeside(registry, `${folder}/damaged-${index}.civitai.info`, content)
    writeBeside(registry, `${folder}/damaged-${index}.png`, index === 0 ? '<html>' : '')
  }
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/damaged/models'))
  await expect(page.getByText(/^damaged-\d\.civitai\.info will not be used/)).toHaveCount(contents.length)
  await expect(page.getByText('damaged-1.png is empty and will not be sent.')).toBeVisible()
  await page.getByRole('button', { name: /^Upload 4 files/ }).click()
  for (const index of contents.keys()) await expectUploaded(page, `models/loras/damaged-${index}.safetensors`)
  await expect(page.getByText('The picture “damaged-0.png” is not set.')).toBeVisible()
  expect((await listModels(registry, 'damaged')).filter((one) => one.preview_url)).toEqual([])
})

test('a picture above the limit is named before the upload, and not sent', async ({ page, registry, signIn }) => {
  writeModelFile(registry, 'heavy/models/loras/heavy.safetensors')
  const picture = Buffer.concat([buildPng(RED), Buffer.alloc(10 * 2 ** 20)])
  writeBeside(registry, 'heavy/models/loras/heavy.png', picture)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/heavy/models'))
  await expect(page.getByText('heavy.png will not be sent: a picture has at most 10 MiB.')).toBeVisible()
  const sent: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') sent.push(new URL(request.url()).pathname)
  })
  await page.getByRole('button', { name: /^Upload 1 file/ }).click()
  await expectUploaded(page, 'models/loras/heavy.safetensors')
  expect(sent.filter((path) => path.endsWith('/preview'))).toEqual([])
})

test('pictures of no model in a drop are named in one line, and other files are counted', async ({
  page,
  registry,
  signIn,
}) => {
  const folder = 'strangers/models/loras'
  writeModelFile(registry, `${folder}/familiar.safetensors`)
  for (const name of ['familiar', 'stranger-1', 'stranger-2']) {
    writePng(join(registry.home, 'files', folder, `${name}.png`), RED)
  }
  writeBeside(registry, `${folder}/stranger-1.civitai.info`, '{}')
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/strangers/models'))
  const line = '2 pictures belong to no model here and will not be uploaded: stranger-1.png, stranger-2.png'
  await expect(page.getByText(line)).toBeVisible()
  await expect(page.getByText('1 file skipped: not models or pictures')).toBeVisible()
  await expect(page.getByText('Picture from familiar.png')).toBeVisible()
  await expect(page.getByRole('textbox', { name: /^Path of / })).toHaveCount(1)
  await expectAccessible(page)
})

test('a model and its sidecars that are chosen as files are uploaded together', async ({ page, registry, signIn }) => {
  mkdirSync(join(registry.home, 'files/chosen'), { recursive: true })
  const model = writeModelFile(registry, 'chosen/chosen.safetensors')
  const picture = writePng(join(registry.home, 'files/chosen/chosen.preview.png'), RED)
  const details = writeBeside(registry, 'chosen/chosen.metadata.json', '{"base_model": "SDXL 1.0"}')
  await signIn(registry.owner, '/upload')
  const input = page.getByTestId('files')
  expect((await input.getAttribute('accept'))?.split(',')).toEqual(expect.arrayContaining(['.info', '.json', '.webp']))
  await input.setInputFiles([model, picture, details])
  await expect(page.getByText('Picture from chosen.preview.png')).toBeVisible()
  await expect(page.getByText('Base model SDXL 1.0 from chosen.metadata.json')).toBeVisible()
})
