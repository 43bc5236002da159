// Uploads directly to S3: another origin, which the page's security policy and the bucket's CORS rules must allow.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, startRegistry, withRegistry } from './fixtures'
import type { Registry } from './registry'
import { drop, expectUploaded, listBlobUploads, writeLargeModelFile } from './uploadActions'

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
  try {
    const storage = {
      ...(await readSettings(seaweed)),
      MODELYARD_PART_SIZE: String(PART),
      MODELYARD_SINGLE_PUT_LIMIT: '1000000',
    }
    await startRegistry(storage)(async (registry) => {
      setUpBucket(registry, storage)
      await use(registry)
    })
  } finally {
    await stopSeaweed(seaweed)
  }
})

async function readSettings(seaweed: ChildProcess): Promise<Record<string, string>> {
  if (!seaweed.stdout) throw new Error('SeaweedFS has no output.')
  for await (const line of createInterface(seaweed.stdout)) return JSON.parse(line) as Record<string, string>
  throw new Error('SeaweedFS did not start.')
}

/** Run `modelyard storage setup`, which sets the bucket's CORS rules. */
function setUpBucket(registry: Registry, storage: Record<string, string>): void {
  const environment = { ...process.env, ...storage, MODELYARD_PUBLIC_URL: registry.url }
  execFileSync(join(ROOT, '.venv/bin/modelyard'), ['storage', 'setup'], { env: environment })
}

function stopSeaweed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((over) => {
    child.once('exit', () => over())
    child.stdin?.end()
  })
}

test('small and multipart files are uploaded directly to the bucket and verified', async ({
  page,
  registry,
  signIn,
}) => {
  const uploadOrigins: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') uploadOrigins.push(new URL(request.url()).origin)
  })
  await signIn(registry.owner, '/upload')
  for (const [name, size, puts] of [
    ['s3-small.safetensors', 100_000, 1],
    ['s3-large.safetensors', 30_000_000, 6],
  ] as const) {
    uploadOrigins.length = 0
    await drop(page, writeLargeModelFile(registry, name, size))
    await page.getByLabel(`Type of ${name}`).selectOption('loras')
    await page.getByRole('button', { name: /^Upload \d/ }).click()
    await expectUploaded(page, `models/loras/${name}`, 60_000)
    expect(uploadOrigins).toHaveLength(puts)
    expect(uploadOrigins).not.toContain(registry.url)
    const found = await registry.call<{ model_list: object[] }>(registry.owner, 'GET', `/models?q=${name}`)
    expect(found.model_list).toMatchObject([{ verification: 'verified' }])
  }
  expect(await listBlobUploads(registry)).toEqual([])
})
