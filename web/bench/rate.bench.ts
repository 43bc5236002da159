// How fast the page pushes 2 GiB, against what hash-wasm alone can hash in the same browser; and what it takes for that.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from '@playwright/test'
import { expect, withRegistry } from '../tests/fixtures'
import { drop, expectUploaded, writeLargeModelFile } from '../tests/uploadActions'

const test = withRegistry()

const SIZE = Number(process.env.BENCH_BYTES ?? 2 * 1024 ** 3)
const LEAST_RATIO = 0.8
const MOST_GROWTH = 200_000_000
const HASHED = 512 * 1024 * 1024

test('an upload of 2 GiB is nearly as fast as hashing it, with four parts at once and constant memory', async ({
  page,
  registry,
  signIn,
  browser,
}) => {
  const file = writeLargeModelFile(registry, 'rate.safetensors', SIZE)
  const before = await hashRate(browser)
  await signIn(registry.owner, '/upload')
  const puts = await countedPuts(page)
  await drop(page, file)
  await page.getByLabel('Type of rate.safetensors').selectOption('loras')
  const use = await sampledUse(browser, page)
  const served = registry.processorSeconds()
  const began = performance.now()
  await page.getByRole('button', { name: /^Upload 1/ }).click()
  await expectUploaded(page, 'models/loras/rate.safetensors', 600_000)
  const pushed = SIZE / ((performance.now() - began) / 1000)
  const used = await use()
  const hashed = (before + (await hashRate(browser))) / 2
  const figures = {
    'push, MB/s': Math.round(pushed / 1e6),
    'hash-wasm alone, MB/s': Math.round(hashed / 1e6),
    ratio: Number((pushed / hashed).toFixed(2)),
    'most PUTs at once': await puts.most(),
    'processor seconds of the browser, by process': used.seconds,
    'processor seconds of the registry': Math.round(registry.processorSeconds() - served),
    'memory of the browser at first, MB': Math.round(used.first / 1e6),
    'memory of the browser at most, MB': Math.round(used.most / 1e6),
    'JavaScript heap at most, MB': Math.round(used.heap / 1e6),
  }
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
  expect(figures['most PUTs at once']).toBeLessThanOrEqual(4)
  expect(used.most - used.first).toBeLessThan(MOST_GROWTH)
  expect(pushed / hashed).toBeGreaterThanOrEqual(LEAST_RATIO)
})

/** Bytes a second of hash-wasm's SHA-256, on bytes that are in memory, in a page of its own. */
async function hashRate(browser: Browser): Promise<number> {
  const page = await browser.newPage()
  await page.addScriptTag({ path: join(import.meta.dirname, '../node_modules/hash-wasm/dist/sha256.umd.min.js') })
  const rate = await page.evaluate(async (size) => {
    interface Hasher {
      update(bytes: Uint8Array): void
      digest(): string
    }
    const { hashwasm } = window as unknown as { hashwasm: { createSHA256(): Promise<Hasher> } }
    const hasher = await hashwasm.createSHA256()
    const bytes = new Uint8Array(4 * 1024 * 1024)
    const began = performance.now()
    for (let done = 0; done < size; done += bytes.length) hasher.update(bytes)
    hasher.digest()
    return size / ((performance.now() - began) / 1000)
  }, HASHED)
  await page.close()
  return rate
}

/** Counted in the page itself: what is told from outside comes late. */
async function countedPuts(page: Page): Promise<{ most(): Promise<number> }> {
  await page.evaluate(() => {
    const seen = window as unknown as { mostPuts: number }
    seen.mostPuts = 0
    let now = 0
    const send = XMLHttpRequest.prototype.send
    XMLHttpRequest.prototype.send = function (body) {
      now += 1
      seen.mostPuts = Math.max(seen.mostPuts, now)
      this.addEventListener('readystatechange', () => {
        if (this.readyState === XMLHttpRequest.DONE) now -= 1
      })
      send.call(this, body as XMLHttpRequestBodyInit)
    }
  })
  return { most: () => page.evaluate(() => (window as unknown as { mostPuts: number }).mostPuts) }
}

/** What all processes of the browser hold and use, and the page's heap, looked at twice a second. */
async function sampledUse(browser: Browser, page: Page) {
  const system = await browser.newBrowserCDPSession()
  const heap = await page.context().newCDPSession(page)
  await heap.send('Performance.enable')
  const sample = async () => {
    const { processInfo } = await system.send('SystemInfo.getProcessInfo')
    const { metrics } = await heap.send('Performance.getMetrics')
    const held = processInfo.reduce((sum, { id }) => sum + anonymousBytes(id), 0)
    return { held, heap: metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? 0, processInfo }
  }
  const first = await sample()
  const most = { held: first.held, heap: first.heap }
  const timer = setInterval(async () => {
    const now = await sample().catch(() => first)
    most.held = Math.max(most.held, now.held)
    most.heap = Math.max(most.heap, now.heap)
  }, 500)
  return async () => {
    clearInterval(timer)
    const { processInfo } = await sample()
    const before = new Map(first.processInfo.map(({ id, cpuTime }) => [id, cpuTime]))
    const seconds: Record<string, number> = {}
    for (const { id, type, cpuTime } of processInfo) {
      seconds[type] = Math.round(10 * ((seconds[type] ?? 0) + cpuTime - (before.get(id) ?? 0))) / 10
    }
    return { first: first.held, most: most.held, heap: most.heap, seconds }
  }
}

/** Memory that is the process's own; pages of files in it are the system's cache. */
function anonymousBytes(id: number): number {
  try {
    const kilobytes = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]
    return Number(kilobytes ?? 0) * 1024
  } catch {
    return 0
  }
}
