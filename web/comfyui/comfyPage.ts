// ComfyUI's page in a browser: opening a workflow, its sidebar, and what it prints and transfers.

import type { Page } from '@playwright/test'
import type { ComfyUI } from './comfyui'

/** The loaders of a workflow: node, input, folder and name of the file. */
export type Loader = readonly [node: string, input: string, folder: string, name: string]

interface PageWindow {
  comfyAPI: { app: { app: { loadGraphData(workflow: object): Promise<void>; graph: { nodes: GraphNode[] } } } }
}
interface GraphNode {
  type: string
  widgets?: { name: string; value: unknown; options: { values?: unknown[] } }[]
}

/** Build a workflow with these loaders, in the format of ComfyUI's page. */
function buildWorkflow(loaders: readonly Loader[]): object {
  const nodes = buildNodes(loaders)
  const counts = { last_node_id: nodes.length, last_link_id: 0 }
  return { version: 0.4, ...counts, links: [], groups: [], config: {}, extra: {}, nodes }
}

/** Build a workflow with these loaders inside a subgraph. */
export function buildWorkflowWithSubgraph(loaders: readonly Loader[]): object {
  const id = '3a7d3e0e-5c1b-4e47-9d6b-0c6f4b6c7a11'
  const inner = buildNodes(loaders)
  const bounding = [0, 0, 120, 60]
  const subgraph = {
    ...{ id, version: 1, revision: 0, name: 'Loaders', config: {}, extra: {} },
    state: { lastGroupId: 0, lastNodeId: inner.length, lastLinkId: 0, lastRerouteId: 0 },
    inputNode: { id: -10, bounding },
    outputNode: { id: -20, bounding },
    ...{ inputs: [], outputs: [], widgets: [], groups: [], links: [], nodes: inner },
  }
  const [instance] = buildNodes([[id, '', '', '']])
  const nodes = [{ ...instance, widgets_values: [] }]
  const counts = { last_node_id: 1, last_link_id: 0 }
  const parts = { links: [], groups: [], config: {}, extra: {}, definitions: { subgraphs: [subgraph] } }
  return { version: 0.4, ...counts, ...parts, nodes }
}

function buildNodes(loaders: readonly Loader[]) {
  return loaders.map(([type, , , name], index) => ({
    id: index + 1,
    type,
    pos: [100 + 350 * index, 200],
    size: [300, 100],
    flags: {},
    order: index,
    mode: 0,
    inputs: [],
    outputs: [],
    properties: { 'Node name for S&R': type },
    widgets_values: type.startsWith('LoraLoader') ? [name, 1] : [name],
  }))
}

/** Open ComfyUI's page, and in it a workflow with these loaders. */
export async function openWorkflow(page: Page, comfy: ComfyUI, loaders: readonly Loader[]): Promise<void> {
  await openGraph(page, comfy, buildWorkflow(loaders))
}

/** Open ComfyUI's page, and in it a workflow in the format of the page. */
export async function openGraph(page: Page, comfy: ComfyUI, workflow: object): Promise<void> {
  await page.goto(comfy.url)
  await page.locator('.side-bar-button').first().waitFor({ timeout: 120_000 })
  const hasDefaultWorkflow = () => (window as unknown as PageWindow).comfyAPI.app.app.graph.nodes.length > 0
  await page.waitForFunction(hasDefaultWorkflow, undefined, { timeout: 120_000 })
  await page.evaluate((graph) => (window as unknown as PageWindow).comfyAPI.app.app.loadGraphData(graph), workflow)
  await page.waitForTimeout(2_000)
  // The older page opens a dialog about missing models.
  await page.keyboard.press('Escape')
}

/** Return the button of the extension's tab. */
export function getTab(page: Page) {
  return page.getByRole('button', { name: "Models of your team's modelyard registry" })
}

/** Return the section of the tab about the open workflow. */
export function getMissingSection(page: Page) {
  return page.getByRole('region', { name: 'Models of this workflow' })
}

/** Return the names of the nodes of the open workflow, with the values of their inputs. */
export function listNodes(page: Page): Promise<{ type: string; values: Record<string, unknown> }[]> {
  return page.evaluate(() =>
    (window as unknown as PageWindow).comfyAPI.app.app.graph.nodes.map(({ type, widgets = [] }) => ({
      type,
      values: Object.fromEntries(widgets.map(({ name, value }) => [name, value])),
    })),
  )
}

/** Count the loaders of the open workflow whose file is not in the list of their input. */
export function countUnlisted(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      (window as unknown as PageWindow).comfyAPI.app.app.graph.nodes.filter(({ widgets: [widget] = [] }) => {
        return widget && !widget.options.values?.includes(widget.value)
      }).length,
  )
}

/** Record warnings, errors and uncaught exceptions, without ports and percentages, which differ between starts. */
export function recordConsole(page: Page): string[] {
  const messages: string[] = []
  const record = (text: string) => {
    const [line = ''] = text.split('\n')
    messages.push(line.replace(/127\.0\.0\.1:\d+/g, 'comfyui').replace(/[\d.]+%/g, '%'))
  }
  page.on('console', (message) => {
    if (['warning', 'error'].includes(message.type())) record(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => record(error.message))
  return messages
}

/** Count the bytes of the bodies of requests and responses of a page. */
export function countBytes(page: Page): { bytes: number } {
  const traffic = { bytes: 0 }
  page.on('requestfinished', async (request) => {
    const sizes = await request.sizes().catch(() => undefined)
    traffic.bytes += (sizes?.requestBodySize ?? 0) + (sizes?.responseBodySize ?? 0)
  })
  return traffic
}
