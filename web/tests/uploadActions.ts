// Actions of upload tests: write files, drop them onto the page, limit the network, read the registry's request log.

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, type Locator, type Page } from '@playwright/test'
import { buildSafetensors } from './modelFiles'
import type { Registry } from './registry'

const MEBIBYTE = 1024 * 1024

/** Write a file into the registry's folder, which is deleted with it; by default a small valid model. */
export function writeModelFile(registry: Registry, name: string, bytes: Buffer = buildSafetensors(2048)): string {
  const path = join(registry.home, 'files', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
  return path
}

/** Write a valid safetensors file with `size` bytes of weights, different each time. */
export function writeLargeModelFile(registry: Registry, name: string, size: number): string {
  const path = writeModelFile(registry, name, buildHeader(size))
  const file = openSync(path, 'a')
  const block = randomBytes(MEBIBYTE)
  for (let written = 0; written < size; written += MEBIBYTE) {
    // Each block differs, so that swapped parts are detected.
    block.writeBigUInt64LE(BigInt(written), 0)
    writeSync(file, block, 0, Math.min(MEBIBYTE, size - written))
  }
  closeSync(file)
  return path
}

/** Write a sparse safetensors file of this size, which uses no disk space. */
export function writeSparseModelFile(registry: Registry, name: string, size: number): string {
  const head = buildHeader(size)
  const path = writeModelFile(registry, name, head)
  truncateSync(path, head.length + size)
  return path
}

/** Write the start of a safetensors file whose header is larger than the registry reads; it uses no disk space. */
export function writeLargeHeader(registry: Registry, name: string): void {
  const size = 17 * MEBIBYTE
  const head = Buffer.alloc(9, '{')
  head.writeBigUInt64LE(BigInt(size))
  truncateSync(writeModelFile(registry, name, head), 8 + size)
}

/** Build a small safetensors file with tensors of these names. */
export function buildSafetensorsWithTensors(...names: string[]): Buffer {
  const tensors = names.map((name, index) => [
    name,
    { dtype: 'U8', shape: [8], data_offsets: [8 * index, 8 * index + 8] },
  ])
  return Buffer.concat([prefixLength(Object.fromEntries(tensors)), randomBytes(8 * names.length)])
}

function buildHeader(size: number): Buffer {
  return prefixLength({ weight: { dtype: 'U8', shape: [size], data_offsets: [0, size] } })
}

function prefixLength(header: object): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text])
}

/** Drop files and folders onto the page, as from the desktop. */
export async function drop(page: Page, ...files: string[]): Promise<void> {
  // A view takes files once it is shown.
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  const desktop = await page.context().newCDPSession(page)
  const data = { items: [], files, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await desktop.send('Input.dispatchDragEvent', { type, x: 600, y: 400, data })
  }
  await desktop.detach()
}

/** Write a model file below a new models folder, and drop that folder onto the page. */
export async function dropModel(page: Page, registry: Registry, path: string, bytes?: Buffer): Promise<void> {
  drops += 1
  writeModelFile(registry, `${drops}/models/${path}`, bytes)
  await drop(page, join(registry.home, 'files', `${drops}/models`))
}

let drops = 0

interface LoggedRequest {
  method: string
  path: string
  status: number
  /** Received bytes of the request body. */
  received: number
}

/** Return all requests in the registry's log so far. */
export async function readRequestLog(registry: Registry): Promise<LoggedRequest[]> {
  // A log line is written after the response: wait for the line of one more request.
  const last = `/last-${randomBytes(4).toString('hex')}`
  await fetch(registry.url + last)
  await expect.poll(() => parseLog(registry).some(({ path }) => path === last)).toBe(true)
  return parseLog(registry)
}

function parseLog(registry: Registry): LoggedRequest[] {
  const lines = readFileSync(join(registry.home, 'registry.log'), 'utf8').split('\n')
  const entries = lines.flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line)] : []))
  return entries.filter((entry) => entry.path !== undefined)
}

/** Return the logged uploads of file bytes. */
export async function listBlobUploads(registry: Registry): Promise<LoggedRequest[]> {
  return (await readRequestLog(registry)).filter(({ method, path }) => method === 'PUT' && path.startsWith('/blobs/'))
}

/** Pauses and resumes the uploads of a page, so that none finishes before a test interrupts it. */
interface Network {
  pause: () => Promise<void>
  resume: () => Promise<void>
}

/** Limit the upload rate of this page, also of open requests. */
export async function limitUploadRate(page: Page, bytesPerSecond: number): Promise<Network> {
  const network = await page.context().newCDPSession(page)
  await network.send('Network.enable')
  const limit = async (uploadThroughput: number) => {
    const limits = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput }
    await network.send('Network.emulateNetworkConditions', limits)
  }
  await limit(bytesPerSecond)
  // API calls, which are small, still get through.
  return { pause: () => limit(50_000), resume: () => limit(-1) }
}

/** What a row says once its file is verified: on how many machines the model is, or why it is on none. */
const VERIFIED = /On \d+ of \d+|Stored\. (The team has|No machine|It is disabled|Its page)/

/** Expect that an upload has one row, which says where the verified model at this path is. */
export async function expectUploaded(page: Page, path: string, timeout = 20_000): Promise<Locator> {
  const rows = page.getByRole('region', { name: 'Recent uploads' }).getByRole('listitem')
  const row = rows.filter({ has: page.getByTitle(path, { exact: true }) })
  await expect(row).toContainText(VERIFIED, { timeout })
  return row
}
