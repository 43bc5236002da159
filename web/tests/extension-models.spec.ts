// What modelyard-bridge finds in ComfyUI's page, how it follows downloads, and how it updates its rows.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from '@playwright/test'

interface File {
  type: string
  input: string
  name: string
  listed: string | null
  folder: string | null
}
interface Reference {
  node_type: string
  input: string
  name: string
  folder: string
}
interface Scripts {
  findMissingFiles(app: object): File[]
  applyListedName(app: object, file: File): void
  findReference(file: Partial<File>, references: Reference[]): Reference | null
}
interface Models extends EventTarget {
  missing: (File & { reference: object | null })[]
  check(): Promise<void>
  findMissing(): boolean
  reset(): void
}
interface Following extends EventTarget {
  active: Map<string, object | null>
  problems: Map<string, string>
  delay: number
  fetch(ids: string[]): Promise<number>
}

const LISTED = ['listed.safetensors', 'portraits/ink.safetensors']

const SCRIPTS = join(import.meta.dirname, '../../extension/modelyard-bridge/web')

async function load<Kind>(name: string): Promise<Kind> {
  const file = join(SCRIPTS, name)
  return (await import(pathToFileURL(file).href)) as Kind
}

async function loadScripts(): Promise<Scripts> {
  const [missing, workflow] = [await load<Scripts>('missing_models.mjs'), await load<Scripts>('workflow_models.mjs')]
  return { ...missing, findReference: workflow.findReference }
}

function buildNode(type: string, input: string, name: string) {
  const widgets = [{ name: input, value: name, options: { values: LISTED } }]
  return { type, mode: 0, widgets, isInputConnected: () => false }
}

function buildApp(nodes: object[]) {
  const graph = { nodes, serialize: () => ({}) }
  return { graph, canvas: { setDirty: () => {} }, refreshComboInNodes: async () => {} }
}

/** Answer the requests of the scripts by their last path segment, until the test ends. */
function answer(handlers: Record<string, (body: { model_ids: string[] }) => unknown>): () => void {
  const original = globalThis.fetch
  globalThis.fetch = async (url, options) => {
    const name = String(url).split('/').at(-1) ?? ''
    return Response.json(await handlers[name]?.(JSON.parse(String(options?.body))))
  }
  return () => {
    globalThis.fetch = original
  }
}

test('files of the same name in other inputs are missing each for itself', async () => {
  const { findMissingFiles } = await loadScripts()
  const nodes = [
    buildNode('VAELoader', 'vae_name', 'model.safetensors'),
    buildNode('VAELoader', 'vae_name', 'model.safetensors'),
    buildNode('CLIPLoader', 'clip_name', 'model.safetensors'),
    buildNode('VAELoader', 'vae_name', 'listed.safetensors'),
  ]
  expect(findMissingFiles(buildApp(nodes)).map(({ input }) => input)).toEqual(['vae_name', 'clip_name'])
})

test('a subgraph that nodes share is read once', async () => {
  const { findMissingFiles } = await loadScripts()
  let reads = 0
  let subgraph: object = { nodes: [buildNode('VAELoader', 'vae_name', 'deep.pkl')] }
  for (let depth = 0; depth < 40; depth += 1) {
    const nodes = [1, 2].map(() => ({ type: 'inner', mode: 0, subgraph }))
    subgraph = {
      get nodes() {
        reads += 1
        return nodes
      },
    }
  }
  expect(findMissingFiles(buildApp([{ type: 'outer', mode: 0, subgraph }])).map(({ name }) => name)).toEqual([
    'deep.pkl',
  ])
  expect(reads).toBe(40)
})

test('a name with other slashes than the list is replaced by the listed one', async () => {
  const { findMissingFiles, applyListedName } = await loadScripts()
  const node = buildNode('LoraLoader', 'lora_name', 'portraits\\ink.safetensors')
  const app = buildApp([node])
  const [file] = findMissingFiles(app)
  expect(file?.listed).toBe('portraits/ink.safetensors')
  applyListedName(app, file as File)
  expect(node.widgets[0]?.value).toBe('portraits/ink.safetensors')
  expect(findMissingFiles(app)).toEqual([])
})

test('what the registry says of a file is that of its node type and input', async () => {
  const { findReference } = await loadScripts()
  const vae = { node_type: 'VAELoader', input: 'vae_name', name: 'model.safetensors', folder: 'vae' }
  const clip = { node_type: 'CLIPLoader', input: 'clip_name', name: 'model.safetensors', folder: 'text_encoders' }
  const file = { type: 'CLIPLoader', input: 'clip_name', name: 'model.safetensors', folder: null }
  expect(findReference(file, [vae, clip])).toBe(clip)
  const unknown = { ...file, type: '7d1c-subgraph', input: 'model' }
  expect(findReference(unknown, [vae, clip])).toBeNull()
  expect(findReference({ ...unknown, folder: 'vae' }, [vae, clip])).toBe(vae)
  expect(findReference(unknown, [clip])).toBe(clip)
})

test('the response of an older check is dropped, and that of another workflow', async () => {
  const { WorkflowModels } = await load<{ WorkflowModels: new (app: object, downloads: EventTarget) => Models }>(
    'workflow_models.mjs',
  )
  const waiting: ((report: object) => void)[] = []
  const restore = answer({ 'workflow-check': () => new Promise((resolve) => waiting.push(resolve)) })
  const report = (state: string) => ({
    reference_list: [{ node_type: 'VAELoader', input: 'vae_name', name: 'model.pt2', folder: 'vae', state }],
  })
  const app = buildApp([buildNode('VAELoader', 'vae_name', 'model.pt2')])
  const workflow = new WorkflowModels(app, new EventTarget())
  workflow.findMissing()
  const [older, newer] = [workflow.check(), workflow.check()]
  waiting[1]?.(report('present'))
  await newer
  waiting[0]?.(report('unknown'))
  await older
  expect(workflow.missing[0]?.reference).toMatchObject({ state: 'present' })

  const late = workflow.check()
  workflow.reset()
  workflow.findMissing()
  waiting[2]?.(report('present'))
  await late
  expect(workflow.missing).toMatchObject([{ name: 'model.pt2', reference: null }])
  restore()
})

test('models are followed by one loop, and given up when someone has to act', async () => {
  const { Downloads } = await load<{ Downloads: new (app: object) => Following }>('downloads.mjs')
  const asked: string[][] = []
  const states: Record<string, string> = { a: 'downloading', b: 'conflict', c: 'blocked', d: 'failed' }
  const restore = answer({
    fetch: ({ model_ids }) => ({ requested: model_ids, refused: [] }),
    progress: ({ model_ids }) => {
      asked.push(model_ids)
      return { model_list: model_ids.map((id) => ({ id, state: states[id], received_bytes: 0, problem: null })) }
    },
  })
  const downloads = new Downloads(buildApp([]))
  const delays: number[] = []
  downloads.addEventListener('change', () => delays.push(downloads.delay))
  const [first, second] = [downloads.fetch(['a', 'b']), downloads.fetch(['c', 'd'])]
  await expect.poll(() => [...downloads.active.keys()]).toEqual(['a', 'd'])
  expect([...downloads.problems.keys()].sort()).toEqual(['b', 'c'])
  await expect.poll(() => asked.at(-1)).toEqual(['a', 'd'])
  await expect.poll(() => Math.max(...delays)).toBeGreaterThan(600)

  Object.assign(states, { a: 'ready', d: 'ready' })
  expect([await first, await second]).toEqual([1, 1])
  restore()
})

test('an update of a row keeps its buttons and the focus', async ({ page }) => {
  const result = await page.evaluate(
    async (source) => {
      const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
      const { element, updateChildren } = await import(url)
      const row = document.body.appendChild(element('li'))
      const update = (text: string, problem: string | null) =>
        updateChildren(row, [
          element('p', {}, text),
          problem && element('p', {}, problem),
          element('button', { 'aria-label': 'Fetch ink' }, 'Fetch here'),
        ])
      update('Checking…', null)
      const button = row.querySelector('button')
      button.focus()
      update('Your team has it.', null)
      const isKept = row.querySelector('button') === button && document.activeElement === button
      update('Your team has it.', 'The registry cannot be reached.')
      return { isKept, focused: document.activeElement?.getAttribute('aria-label'), texts: row.textContent }
    },
    readFileSync(join(SCRIPTS, 'elements.mjs'), 'utf8'),
  )
  expect(result).toEqual({
    isKept: true,
    focused: 'Fetch ink',
    texts: 'Your team has it.The registry cannot be reached.Fetch here',
  })
})
