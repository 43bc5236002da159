// Uploads straight to S3: another origin, which the policy of the page and the rules of the bucket must both let in.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, started, withRegistry } from './page'
import type { Registry } from './registry'
import { broughtBytes, drop, largeOnDisk } from './uploading'

const ROOT = join(import.meta.dirname, '../..')
const PART = 5 * 1024 * 1024
// SeaweedFS as the Python tests start it, until its input ends.
const SEAWEED = `
import json, sys
from tests.seaweed import RunningSeaweed

with RunningSeaweed() as seaweed, seaweed.bucket() as bucket:
    settings = {"STORAGE_URL": f"s3://{bucket}", "STORAGE_ENDPOINT": seaweed.endpoint}
    settings |= {"STORAGE_ACCESS_KEY": seaweed.access_key, "STORAGE_SECRET_KEY": seaweed.secret_key}
    print(json.dumps({f"MODELYARD_{name}": value for name, value in settings.items()}), flush=True)
    sys.stdin.read()
`

const test = withRegistry(async (use) => {
  const seaweed = spawn(join(ROOT, '.venv/bin/python'), ['-c', SEAWEED], { cwd: ROOT })
  const storage = {
    ...(await told(seaweed)),
    MODELYARD_PART_SIZE: String(PART),
    MODELYARD_SINGLE_PUT_LIMIT: '1000000',
  }
  await started(storage)(async (registry) => {
    setUp(registry, storage)
    await use(registry)
  })
  await ended(seaweed)
})

async function told(seaweed: ChildProcess): Promise<Record<string, string>> {
  if (!seaweed.stdout) throw new Error('SeaweedFS says nothing.')
  for await (const line of createInterface(seaweed.stdout)) return JSON.parse(line) as Record<string, string>
  throw new Error('SeaweedFS did not start.')
}

/** The bucket is told whose page may use it, as an operator does. */
function setUp(registry: Registry, storage: Record<string, string>): void {
  const environment = { ...process.env, ...storage, MODELYARD_PUBLIC_URL: registry.url }
  execFileSync(join(ROOT, '.venv/bin/modelyard'), ['storage', 'setup'], { env: environment })
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((over) => {
    child.once('exit', () => over())
    child.stdin?.end()
  })
}

test('whole files and files in parts go straight to the bucket, and are verified afterwards', async ({
  page,
  registry,
  signIn,
}) => {
  test.setTimeout(180_000)
  const elsewhere: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') elsewhere.push(new URL(request.url()).origin)
  })
  await signIn(registry.owner, '/upload')
  for (const [name, size, puts] of [
    ['s3-small.safetensors', 100_000, 1],
    ['s3-large.safetensors', 30_000_000, 6],
  ] as const) {
    elsewhere.length = 0
    await drop(page, largeOnDisk(registry, name, size))
    await page.getByLabel(`Type of ${name}`).selectOption('loras')
    await page.getByRole('button', { name: /^Upload \d/ }).click()
    await expect(page.getByText(`Registered as models/loras/${name}`)).toBeVisible({ timeout: 60_000 })
    expect(elsewhere).toHaveLength(puts)
    expect(elsewhere).not.toContain(registry.url)
    const found = await registry.call<{ model_list: object[] }>(registry.owner, 'GET', `/models?q=${name}`)
    expect(found.model_list).toMatchObject([{ verification: 'verified' }])
  }
  expect(await broughtBytes(registry)).toEqual([])
})
