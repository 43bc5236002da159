// The extension in a real ComfyUI: an artist opens a workflow whose models are missing, and fetches them.

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type Page, test } from '@playwright/test'
import { startAgent } from '../tests/machines'
import { buildSafetensors, registerModel } from '../tests/modelFiles'
import { buildPng } from '../tests/pictures'
import { Registry } from '../tests/registry'
import {
  buildWorkflowWithSubgraph,
  countBytes,
  countUnlisted,
  getMissingSection,
  getTab,
  type Loader,
  listNodes,
  openGraph,
  openWorkflow,
  recordConsole,
} from './comfyPage'
import { ARCHIVE, ComfySource, ComfyUI, PAGES } from './comfyui'

const MACHINE = 'render-07'
/** From the click until ComfyUI lists the files, beside the time that their bytes take. */
const EXTRA_MILLISECONDS = 2_000
/** Larger than everything that the page transfers, so that bytes of a model that passed the browser would show. */
const MODEL_BYTES = 24 * 1024 * 1024
const LOADERS: Loader[] = [
  ['CheckpointLoaderSimple', 'ckpt_name', 'checkpoints', 'sea.safetensors'],
  ['LoraLoaderModelOnly', 'lora_name', 'loras', 'portraits/ink.safetensors'],
  ['VAELoader', 'vae_name', 'vae', 'clear.safetensors'],
]
const MINE = ['LoraLoader', 'lora_name', 'loras', 'mine.safetensors'] as const
const INNER = ['StyleModelLoader', 'style_model_name', 'style_models', 'inner.safetensors'] as const
const DELETED = ['ControlNetLoader', 'control_net_name', 'controlnet', 'deleted.safetensors'] as const
const LATER = ['UNETLoader', 'unet_name', 'diffusion_models', 'later.safetensors'] as const

test.skip(!ARCHIVE, 'MODELYARD_COMFYUI_ARCHIVE names no archive of ComfyUI. Left out: the extension in a real ComfyUI.')

for (const version of PAGES) {
  test.describe(`page ${version}`, () => {
    test.describe.configure({ mode: 'serial' })
    let registry: Registry
    let source: ComfySource
    let comfy: ComfyUI
    let agent: Awaited<ReturnType<typeof startAgent>>
    /** What the page prints without the extension. */
    let usualMessages: string[]

    test.beforeAll(async ({ browser }) => {
      registry = new Registry()
      await registry.start()
      await registerModels(registry)
      source = new ComfySource()
      comfy = new ComfyUI(source, join(registry.home, MACHINE, 'ComfyUI'), version)
      const page = await browser.newPage()
      usualMessages = recordConsole(page)
      await comfy.start()
      await openWorkflow(page, comfy, LOADERS)
      await page.getByRole('button', { name: /^Workflows/ }).click()
      await page.waitForTimeout(2_000)
      await page.close()
      await comfy.stop()
      agent = await startAgent(registry, MACHINE)
      comfy.installExtension(await waitForSocket(registry))
      await comfy.start()
    })

    test.afterAll(async () => {
      await comfy?.stop()
      await registry?.close()
      source?.remove()
    })

    test('the extension is imported within 50 ms', () => {
      // ComfyUI rounds to tenths of a second.
      expect(comfy.getImportSeconds()).toBe(0)
    })

    test('models that are missing are fetched, and listed by ComfyUI', async ({ page }, info) => {
      const messages = recordConsole(page)
      const traffic = countBytes(page)
      await openWorkflow(page, comfy, LOADERS)
      await expect(getTab(page)).toContainText('3')
      await getTab(page).click()
      const section = getMissingSection(page)
      await expect(section.getByRole('heading')).toHaveText('This workflow: 3 models are missing')
      await expect(section.getByText('Your team has it.')).toHaveCount(3)

      const wireMilliseconds = await measureDownload(registry)
      const clicked = Date.now()
      await section.getByRole('button', { name: 'Fetch all' }).click()
      await expect(section.getByRole('heading')).toHaveText('This workflow: no models are missing', {
        timeout: 120_000,
      })
      const milliseconds = Date.now() - clicked
      info.annotations.push({ type: 'milliseconds from click to listed', description: String(milliseconds) })
      expect(milliseconds).toBeLessThan(wireMilliseconds + EXTRA_MILLISECONDS)

      for (const [, , folder, name] of LOADERS) {
        expect(existsSync(join(comfy.base, 'models', folder, name))).toBe(true)
        expect(await listFiles(comfy, folder)).toContain(name)
      }
      expect(await countUnlisted(page)).toBe(0)
      await expect(page.getByTestId('error-group-missing-model')).toHaveCount(0)
      expect(traffic.bytes).toBeLessThan(MODEL_BYTES)
      expect(messages.filter((message) => !usualMessages.includes(message))).toEqual([])
    })

    test('a missing model inside a subgraph is counted once, and fetched', async ({ page }) => {
      await openGraph(page, comfy, buildWorkflowWithSubgraph([INNER]))
      await getTab(page).click()
      const section = getMissingSection(page)
      await expect(section.getByRole('heading')).toHaveText('This workflow: 1 model is missing')
      await section.getByRole('button', { name: `Fetch ${INNER[3]}` }).click()
      await expect(section.getByRole('heading')).toHaveText('This workflow: no models are missing', {
        timeout: 60_000,
      })
      expect(await listFiles(comfy, INNER[2])).toContain(INNER[3])
    })

    test('a model that is deleted while it is fetched is named with the reason', async ({ page }) => {
      await registry.call(registry.owner, 'PUT', `/agents/${MACHINE}`, { paused: true })
      await openWorkflow(page, comfy, [DELETED])
      await getTab(page).click()
      const section = getMissingSection(page)
      await section.getByRole('button', { name: `Fetch ${DELETED[3]}` }).click()
      await expect(section.getByRole('progressbar')).toBeVisible()
      await registry.call(registry.owner, 'DELETE', `/models/${await findModel(registry, DELETED[3])}`)
      await registry.call(registry.owner, 'PUT', `/agents/${MACHINE}`, { paused: false })
      await expect(section.getByText(/deleted/).last()).toBeVisible({ timeout: 60_000 })
      await expect(section.getByRole('progressbar')).toHaveCount(0)
      expect(existsSync(join(comfy.base, 'models', DELETED[2], DELETED[3]))).toBe(false)
    })

    test('nothing can be fetched while the team does not let machines request models', async ({ page }) => {
      await registry.call(registry.owner, 'PUT', '/teams/current', { machines_may_request: false })
      // The agent learns it with its next heartbeat.
      await expect(async () => {
        await openWorkflow(page, comfy, [LATER])
        await getTab(page).click()
        const told = page.locator('.modelyard').getByText('Your team does not allow machines to request models.')
        await expect(told).toBeVisible({ timeout: 5_000 })
      }).toPass({ timeout: 120_000 })
      await expect(getMissingSection(page).getByRole('heading')).toHaveText('This workflow: 1 model is missing')
      await expect(getMissingSection(page).getByRole('button', { name: /^Fetch/ })).toHaveCount(0)
      await registry.call(registry.owner, 'PUT', '/teams/current', { machines_may_request: true })
    })

    test('a model that is dragged onto the canvas makes the node that loads it', async ({ page }) => {
      await openWorkflow(page, comfy, [])
      await getTab(page).click()
      await page.getByLabel('Search models').fill('ink')
      const cards = page.getByRole('region', { name: "Your team's models" }).getByRole('listitem')
      await expect(cards).toHaveCount(1)
      await expect(cards.getByText('On this machine')).toBeVisible()
      await expect(cards.locator('img')).toBeVisible()
      await cards.dragTo(page.locator('#graph-canvas'), { targetPosition: { x: 900, y: 500 } })
      await expect
        .poll(() => listNodes(page))
        .toMatchObject([{ type: 'LoraLoader', values: { lora_name: 'portraits/ink.safetensors' } }])
    })

    test('a model that the team lacks is pushed, and the workflow saved as a collection', async ({ page }) => {
      writeFileSync(join(comfy.base, 'models', MINE[2], MINE[3]), buildSafetensors(1024))
      await openWorkflow(page, comfy, [MINE])
      await getTab(page).click()
      const panel = page.getByRole('region', { name: 'Push to team' })
      await expect(panel.getByRole('status').first()).toContainText('modelyard login')
      await expect(panel.getByRole('button', { name: 'Push as collection' })).toBeDisabled()

      await signInMachine(registry)
      await openWorkflow(page, comfy, [MINE])
      await getTab(page).click()
      await panel.getByRole('button', { name: 'Compare workflow' }).click()
      await panel.getByRole('button', { name: `Push ${MINE[3]}` }).click()
      await expect(panel.getByText(`Your team has it now: loras/${MINE[3]}`)).toBeVisible({ timeout: 60_000 })
      await panel.getByLabel('Name of the collection').fill('Winter')
      await panel.getByRole('button', { name: 'Push as collection' }).click()
      await expect(panel.getByText('Collection "Winter", version 1, has 1 model.')).toBeVisible({ timeout: 60_000 })
      await panel.getByRole('button', { name: 'Push as collection' }).click()
      await panel.getByRole('button', { name: 'Replace its model (version 2)' }).click()
      await expect(panel.getByText('Collection "Winter", version 1, has 1 model.')).toBeVisible({ timeout: 60_000 })
    })

    test('a registry that does not answer is named, and its models are fetched once it is back', async ({ page }) => {
      await registry.stop()
      await openWorkflow(page, comfy, [LATER])
      await getTab(page).click()
      await expect(page.locator('.modelyard').getByRole('alert').first()).toContainText(
        'The registry cannot be reached.',
      )
      expect(await listFiles(comfy, 'loras')).toContain('portraits/ink.safetensors')

      await registry.start()
      await expect(async () => {
        await getMissingSection(page).getByRole('button', { name: 'Try again' }).click({ timeout: 3_000 })
        await expect(getMissingSection(page).getByText('Your team has it.')).toBeVisible({ timeout: 5_000 })
      }).toPass({ timeout: 90_000 })
      await fetchLater(page)
    })

    test('an agent that is gone is named, and the page goes on', async ({ page }) => {
      await agent.stop()
      await openWorkflow(page, comfy, LOADERS)
      await getTab(page).click()
      await expect(page.locator('.modelyard').getByRole('alert').first()).toContainText('modelyard agent')
      expect(await countUnlisted(page)).toBe(0)
    })
  })
}

async function fetchLater(page: Page): Promise<void> {
  await getMissingSection(page)
    .getByRole('button', { name: `Fetch ${LATER[3]}` })
    .click()
  const heading = getMissingSection(page).getByRole('heading')
  await expect(heading).toHaveText('This workflow: no models are missing', { timeout: 120_000 })
}

/** Register the models with a label that no machine has, so that a machine gets them only if it requests them. */
async function registerModels(registry: Registry): Promise<void> {
  for (const [, , folder, name] of [...LOADERS, INNER, DELETED, LATER]) {
    const bytes = buildSafetensors(MODEL_BYTES)
    const { id } = await registerModel(registry, `${folder}/${name}`, { bytes, required_labels: ['gpu24'] })
    await registry.call(registry.owner, 'PUT', `/models/${id}/versions/1/preview`, buildPng([40, 90, 160]))
  }
}

async function findModel(registry: Registry, name: string): Promise<string> {
  const { model_list } = await registry.call<{ model_list: { id: string; model_path: string }[] }>(
    registry.owner,
    'GET',
    '/models',
  )
  return model_list.find(({ model_path }) => model_path.endsWith(name))?.id ?? ''
}

/** Return the milliseconds that the bytes of the loaders' models take from the registry to this machine. */
async function measureDownload(registry: Registry): Promise<number> {
  const ids = await Promise.all(LOADERS.map(([, , , name]) => findModel(registry, name)))
  const began = Date.now()
  for (const id of ids) {
    const ticket = await registry.call<{ download_url: string }>(
      registry.owner,
      'GET',
      `/models/${id}/download?redirect=false`,
    )
    await (await fetch(ticket.download_url)).arrayBuffer()
  }
  return Date.now() - began
}

/** Store a device key of the owner in the profile of the machine's user, as `modelyard login --device` does. */
async function signInMachine(registry: Registry): Promise<void> {
  const start = await fetch(`${registry.url}/api/v1/desktop/pair/start`, { method: 'POST' })
  const { user_code, device_code } = (await start.json()) as { user_code: string; device_code: string }
  await registry.call(registry.owner, 'POST', '/desktop/pair/confirm', { user_code, device_name: MACHINE })
  const poll = await fetch(`${registry.url}/api/v1/desktop/pair/poll`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device_code }),
  })
  const { raw_key } = (await poll.json()) as { raw_key: string }
  const script = `
import sys
from pathlib import Path
from modelyard.client.profile import Profile, ProfileFile
ProfileFile(Path(sys.argv[1])).save(Profile(url=sys.argv[2], token=sys.argv[3]))
`
  const profiles = join(registry.home, MACHINE, 'profiles.json')
  execFileSync(join(import.meta.dirname, '../../.venv/bin/python'), ['-c', script, profiles, registry.url, raw_key])
}

async function waitForSocket(registry: Registry): Promise<string> {
  const socket = join(registry.home, MACHINE, 'state/modelyard/agents', MACHINE, 'bridge/agent.sock')
  await expect.poll(() => existsSync(socket), { timeout: 60_000 }).toBe(true)
  return socket
}

async function listFiles(comfy: ComfyUI, folder: string): Promise<string[]> {
  return (await (await fetch(`${comfy.url}/models/${folder}`)).json()) as string[]
}
