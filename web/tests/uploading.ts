// What tests of uploads need: files on a disk, a drop as the desktop does it, and what the registry saw.

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, type Page } from '@playwright/test'
import { safetensors } from './files'
import type { Registry } from './registry'

const MEBIBYTE = 1024 * 1024

/** A file in the registry's own folder, which goes with it; `bytes` are those of a small model unless they are given. */
export function onDisk(registry: Registry, name: string, bytes: Buffer = safetensors(2048)): string {
  const path = join(registry.home, 'files', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
  return path
}

/** A whole safetensors file with this much in it, of other bytes each time. */
export function largeOnDisk(registry: Registry, name: string, size: number): string {
  const path = onDisk(registry, name, headOf(size))
  const file = openSync(path, 'a')
  const block = randomBytes(MEBIBYTE)
  for (let written = 0; written < size; written += MEBIBYTE) {
    // Each block differs, or parts that were mixed up would go unseen.
    block.writeBigUInt64LE(BigInt(written), 0)
    writeSync(file, block, 0, Math.min(MEBIBYTE, size - written))
  }
  closeSync(file)
  return path
}

/** A file that says it is this large, and takes no room. */
export function sparseOnDisk(registry: Registry, name: string, size: number): string {
  const head = headOf(size)
  const path = onDisk(registry, name, head)
  truncateSync(path, head.length + size)
  return path
}

/** A small safetensors file whose tensors are called so. */
export function tensorsNamed(...names: string[]): Buffer {
  const tensors = names.map((name, index) => [
    name,
    { dtype: 'U8', shape: [8], data_offsets: [8 * index, 8 * index + 8] },
  ])
  return Buffer.concat([framed(Object.fromEntries(tensors)), randomBytes(8 * names.length)])
}

function headOf(size: number): Buffer {
  return framed({ weight: { dtype: 'U8', shape: [size], data_offsets: [0, size] } })
}

function framed(header: object): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text])
}

/** Drop files and folders onto the page, as they come from the desktop. */
export async function drop(page: Page, ...files: string[]): Promise<void> {
  const desktop = await page.context().newCDPSession(page)
  const data = { items: [], files, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await desktop.send('Input.dispatchDragEvent', { type, x: 600, y: 400, data })
  }
  await desktop.detach()
}

/** Drop a models folder that has this file. */
export async function dropModel(page: Page, registry: Registry, path: string, bytes?: Buffer): Promise<void> {
  drops += 1
  onDisk(registry, `${drops}/models/${path}`, bytes)
  await drop(page, join(registry.home, 'files', `${drops}/models`))
}

let drops = 0

interface Answered {
  method: string
  path: string
  status: number
  /** Bytes of the body that came. */
  received: number
}

/** What the registry has answered until now, by its own log. */
export async function answered(registry: Registry): Promise<Answered[]> {
  // A line may come after its answer: once the last request's is there, all are.
  const last = `/last-${randomBytes(4).toString('hex')}`
  await fetch(registry.url + last)
  await expect.poll(() => logged(registry).some(({ path }) => path === last)).toBe(true)
  return logged(registry)
}

function logged(registry: Registry): Answered[] {
  const lines = readFileSync(join(registry.home, 'registry.log'), 'utf8').split('\n')
  const entries = lines.flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line)] : []))
  return entries.filter((entry) => entry.path !== undefined)
}

/** Those that brought bytes of models. */
export async function broughtBytes(registry: Registry): Promise<Answered[]> {
  return (await answered(registry)).filter(({ method, path }) => method === 'PUT' && path.startsWith('/blobs/'))
}

/** What holds a page's uploads back and lets them go on, so that nothing is over before a test could interrupt it. */
interface Network {
  hold: () => Promise<void>
  letGo: () => Promise<void>
}

/** Make the network of this page as slow as this, which counts for what is under way as well. */
export async function slowed(page: Page, bytesPerSecond: number): Promise<Network> {
  const network = await page.context().newCDPSession(page)
  await network.send('Network.enable')
  const limit = async (uploadThroughput: number) => {
    const limits = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput }
    await network.send('Network.emulateNetworkConditions', limits)
  }
  await limit(bytesPerSecond)
  // Calls still pass: they have little to say.
  return { hold: () => limit(50_000), letGo: () => limit(-1) }
}
