// The check of workflows: what a workflow names, what the team has of it, and where it can run.

import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { Page } from '@playwright/test'
import { checkLooks, expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import { buildPng } from './pictures'
import type { Registry } from './registry'
import { Machine } from './reportingMachine'
import { drop, writeModelFile } from './uploadActions'

const test = withRegistry()

const LORA_PATH = 'loras/portraits/ink.safetensors'
const LOST_URL = 'https://example.com/lost_grain.safetensors'
/** After the signature and the IHDR chunk, which ComfyUI writes first. */
const AFTER_HEADER = 8 + 25

type Workflow = Record<string, { class_type: string; inputs: Record<string, unknown> }>

function buildWorkflow(...loras: string[]): Workflow {
  const nodes = loras.map((lora_name, index) => [
    String(index + 1),
    { class_type: 'LoraLoader', inputs: { lora_name, strength_model: 1 } },
  ])
  return Object.fromEntries(nodes)
}

/** A workflow in the format of ComfyUI's page, whose only node names a file with its address, and is muted. */
const MUTED_WORKFLOW = {
  version: 0.4,
  links: [],
  nodes: [
    {
      id: 7,
      type: 'LoraLoaderModelOnly',
      mode: 2,
      widgets_values: ['lost_grain.safetensors', 1],
      properties: { models: [{ name: 'lost_grain.safetensors', url: LOST_URL, directory: 'loras' }] },
    },
  ],
}

/** Build a PNG with the workflow in a tEXt chunk, as ComfyUI saves pictures. */
function buildPicture(workflow: object): Buffer {
  const picture = buildPng([40, 90, 160])
  const body = Buffer.concat([Buffer.from('tEXtprompt\0'), Buffer.from(JSON.stringify(workflow))])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(body.length - 4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([picture.subarray(0, AFTER_HEADER), length, body, sum, picture.subarray(AFTER_HEADER)])
}

function asFile(name: string, content: object | Buffer) {
  const buffer = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content))
  return { name, mimeType: 'application/octet-stream', buffer }
}

async function choose(page: Page, ...files: ReturnType<typeof asFile>[]): Promise<void> {
  await page.getByTestId('workflows').setInputFiles(files)
}

function section(page: Page, name: string) {
  return page.getByRole('region', { name })
}

function row(page: Page, table: string, text: string) {
  return page.getByRole('table', { name: table }).getByRole('row').filter({ hasText: text })
}

/** Register a LoRA that only machines with the label get, and wait until it is verified. */
async function registerLora(registry: Registry, path: string, label: string): Promise<string> {
  const { id } = await registerModel(registry, path, { required_labels: [label] })
  const read = () => registry.call<{ verification: string }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(async () => (await read()).verification).toBe('verified')
  return id
}

let lora = ''

test.beforeEach(async ({ registry }) => {
  if (lora === '') lora = await registerLora(registry, LORA_PATH, 'nowhere')
})

test('a workflow, a picture with one, and a file without one each get a section', async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/models')
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Workflows' }).click()
  await expect(page.getByRole('heading', { name: 'Check a workflow', level: 1 })).toBeVisible()
  await choose(
    page,
    asFile('portrait.json', buildWorkflow('portraits\\ink.safetensors', 'ink.safetensors', 'zz_9.safetensors')),
    asFile('render.png', buildPicture(buildWorkflow('portraits/ink.safetensors'))),
    asFile('notes.json', { title: 'No workflow' }),
  )

  await expect(section(page, 'portrait.json').getByRole('status')).toHaveText('Names 3 models, the team lacks 2.')
  const present = row(page, 'Models of portrait.json', 'Present')
  await expect(present).toContainText('LoraLoader #1')
  await expect(present.getByRole('link')).toHaveAttribute('href', `/models?model=${lora}`)
  const similar = row(page, 'Models of portrait.json', 'Similar name')
  await expect(similar).toContainText('The team has portraits/ink.safetensors')
  await expect(similar.getByRole('button', { name: "Copy the team's name" })).toBeVisible()
  await expect(row(page, 'Models of portrait.json', 'Not found')).toContainText('zz_9.safetensors')

  await expect(section(page, 'render.png').getByRole('status')).toHaveText(
    'Names 1 model, the team has all that it requires.',
  )
  await expect(section(page, 'notes.json').getByRole('alert')).toContainText(
    'The JSON is not a ComfyUI workflow: it has neither nodes nor class types.',
  )
  await expect(section(page, 'notes.json').getByRole('button', { name: 'Retry' })).toHaveCount(0)

  await present.getByRole('link').click()
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.goBack()
  await page.getByRole('button', { name: 'Remove notes.json' }).click()
  await expect(section(page, 'notes.json')).toHaveCount(0)
  await expect(section(page, 'portrait.json')).toBeVisible()
})

test('a dropped workflow is checked, and its muted node is not required and gives an address as text', {
  tag: '@core',
}, async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/workflows')
  await drop(page, writeModelFile(registry, 'muted.json', Buffer.from(JSON.stringify(MUTED_WORKFLOW))))
  const lost = row(page, 'Models of muted.json', 'lost_grain.safetensors')
  await expect(lost).toContainText('not required')
  await expect(lost).toContainText(LOST_URL)
  await expect(lost.getByRole('link')).toHaveCount(0)
  await expect(lost.getByRole('button', { name: 'Copy the address' })).toBeVisible()
  await expect(section(page, 'muted.json').getByRole('status')).toHaveText(
    'Names 1 model, the team has all that it requires.',
  )
})

test("a copy of a workflow in a picture is downloaded with the team's names and the slash of another system", async ({
  page,
  registry,
  signIn,
}) => {
  await signIn(registry.owner, '/workflows')
  await choose(page, asFile('render.png', buildPicture(buildWorkflow('ink.safetensors', 'zz_9.safetensors'))))
  const copy = async (choice: string) => {
    await page.getByRole('button', { name: 'Download a copy of render.png…' }).click()
    const downloading = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: choice, exact: true }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe('render-team.json')
    return JSON.parse(readFileSync(await download.path(), 'utf8'))
  }
  expect(await copy("With the team's names")).toEqual(buildWorkflow('portraits/ink.safetensors', 'zz_9.safetensors'))
  expect(await copy("With the team's names, and \\ between folders (Windows)")).toEqual(
    buildWorkflow('portraits\\ink.safetensors', 'zz_9.safetensors'),
  )
})

test('a copy that cannot be made says so, and can be tried again', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/workflows')
  await choose(page, asFile('lost.json', buildWorkflow('ink.safetensors')))
  const button = page.getByRole('button', { name: 'Download a copy of lost.json…' })
  await checkLooks(page, 'download-copy')
  await button.click()
  await page.setViewportSize({ width: 380, height: 900 })
  await page.screenshot({ path: 'results/screens/download-copy-menu.png' })
  await page.route('**/workflows/rewrite*', (route) => route.abort())
  await page.getByRole('menuitem', { name: "With the team's names", exact: true }).click()
  await expect(page.getByRole('alert').filter({ hasText: /registry/ })).toBeVisible()
  await page.unroute('**/workflows/rewrite*')
  await button.click()
  const downloading = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: "With the team's names", exact: true }).click()
  expect((await downloading).suggestedFilename()).toBe('lost-team.json')
})

test('a file above 64 MiB is refused before it is sent', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/workflows')
  let sent = 0
  page.on('request', (request) => {
    if (request.url().endsWith('/workflows/check')) sent += 1
  })
  // Larger files cannot be given to the file input as bytes.
  await page.getByTestId('workflows').evaluate((input: HTMLInputElement) => {
    const files = new DataTransfer()
    files.items.add(new File([new Uint8Array(64 * 1024 * 1024 + 1)], 'film.png'))
    input.files = files.files
    input.dispatchEvent(new Event('change', { bubbles: true }))
  })
  await expect(section(page, 'film.png').getByRole('alert')).toContainText('It is larger than 64 MiB.')
  expect(sent).toBe(0)
})

test('models are sent to a machine, and the check is repeated until it has them', async ({
  page,
  registry,
  signIn,
}) => {
  const machine = await Machine.create(registry, 'flow-render')
  await page.clock.install()
  await signIn(registry.owner, '/workflows')
  await choose(page, asFile('send.json', buildWorkflow('portraits/ink.safetensors')))
  const place = row(page, 'Machines for send.json', 'flow-render')
  await expect(place).toContainText('if 1 model is sent')
  await expect(place.getByRole('link', { name: 'flow-render' })).toHaveAttribute(
    'href',
    '/machines?machine=flow-render',
  )
  await place.getByRole('button', { name: 'Send 1 model to flow-render' }).click()
  await expect(place).not.toContainText('if 1 model is sent')
  await expect(place).toContainText('Ready')
  await expect(section(page, 'send.json')).toContainText('0 of 1 machine ready')
  await expect(page.getByText('Sent to 1 machine')).toBeVisible()

  await machine.report([{ model_id: lora, state: 'ready' }])
  await setVisibility(page, 'hidden')
  let checks = 0
  page.on('request', (request) => {
    if (request.url().endsWith('/workflows/check')) checks += 1
  })
  await page.clock.runFor(25_000)
  expect(checks).toBe(0)
  await setVisibility(page, 'visible')
  await page.clock.runFor(12_000)
  await expect(section(page, 'send.json')).toContainText('1 of 1 machine ready')
  await machine.remove()
})

test('a viewer sees where a workflow can run, without a button to send models', async ({ page, registry, signIn }) => {
  const machine = await Machine.create(registry, 'flow-watched')
  await signIn(await registry.person('viewer'), '/workflows')
  await choose(page, asFile('seen.json', buildWorkflow('portraits/ink.safetensors')))
  await expect(row(page, 'Machines for seen.json', 'flow-watched')).toContainText('if 1 model is sent')
  await expect(page.getByRole('button', { name: /^Send/ })).toHaveCount(0)
  await machine.remove()
})

test('the palette leads to the check of a workflow', async ({ page, registry, signIn }) => {
  await signIn(registry.owner, '/account')
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: 'Jump to a model, machine, person or action' }).fill('check a work')
  await page.getByRole('option', { name: 'Check a workflow' }).click()
  await expect(page).toHaveURL(/\/workflows$/)
})

test('a checked workflow is accessible and fits every width, in both colour schemes', async ({
  page,
  registry,
  signIn,
}) => {
  const machine = await Machine.create(registry, 'flow-looks')
  await signIn(registry.owner, '/workflows')
  const long = `${'W'.repeat(90)}.safetensors`
  const file = asFile('all states.json', buildWorkflow('portraits/ink.safetensors', 'ink.safetensors', long))
  await choose(page, asFile('bad.svg', {}), asFile('ready.json', buildWorkflow('portraits/ink.safetensors')), file)
  await expect(page.getByRole('table')).toHaveCount(4)
  await expect(section(page, 'bad.svg').getByRole('alert')).toBeVisible()
  for (const width of [380, 780, 1280, 3840]) {
    await page.setViewportSize({ width, height: 900 })
    await expectNoHorizontalScroll(page, `${width}`)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      if (width === 380 || width === 1280) await expectAccessible(page)
      await page.screenshot({ path: `results/screens/workflows-checked-${width}-${colorScheme}.png` })
    }
  }
  await machine.remove()
})

/** Pretend that the tab is shown, or another one instead. */
async function setVisibility(page: Page, visibilityState: DocumentVisibilityState): Promise<void> {
  await page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true })
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
  }, visibilityState)
}
