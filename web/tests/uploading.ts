// What tests of uploads need: files on a disk, a drop as the desktop does it, and what the registry saw.

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Page } from '@playwright/test'
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

/** A whole safetensors file of about this size, of other bytes each time. */
export function largeOnDisk(registry: Registry, name: string, size: number): string {
  const path = onDisk(registry, name, Buffer.alloc(0))
  const file = openSync(path, 'w')
  const head = safetensors(0).subarray(8)
  const header = Buffer.from(head.toString().replace('"shape":[0],"data_offsets":[0,0]', tensorOf(size)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  writeSync(file, Buffer.concat([length, header]))
  const block = randomBytes(MEBIBYTE)
  for (let written = 0; written < size; written += MEBIBYTE) {
    // Each block differs, or a store could tell parts apart by luck only.
    block.writeBigUInt64LE(BigInt(written), 0)
    writeSync(file, block, 0, Math.min(MEBIBYTE, size - written))
  }
  closeSync(file)
  return path
}

function tensorOf(size: number): string {
  return `"shape":[${size}],"data_offsets":[0,${size}]`
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

/** How many requests of a kind the registry has answered, by its own log. */
export function answeredRequests(registry: Registry, method: string, path: RegExp): number {
  const lines = readFileSync(join(registry.home, 'registry.log'), 'utf8').split('\n')
  return lines.filter((line) => {
    const { method: did, path: at } = entry(line)
    return did === method && at !== undefined && path.test(at)
  }).length
}

function entry(line: string): { method?: string; path?: string } {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
