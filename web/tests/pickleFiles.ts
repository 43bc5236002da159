// Pickle files of PyTorch that the Python tests build: one of tensors only, and one that the scan refuses.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from '@playwright/test'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'

const ROOT = join(import.meta.dirname, '../..')
const BUILD = `
import sys
from tests.server.inspection.builders import (
    ZipEntry, build_checkpoint_entries, build_tensorless_checkpoint, build_zip, call, named, text
)

kind, word = sys.argv[1:]
if kind == "clean":
    # The last entry is the id, which no tensor depends on.
    id_entry = ZipEntry("archive/.data/serialization_id", word.rjust(40, "0").encode())
    content = build_zip(*build_checkpoint_entries()[:-1], id_entry)
else:
    content = build_tensorless_checkpoint(call(named("os", "system"), text(word)))
sys.stdout.buffer.write(content)
`

type PicklePolicy = 'block' | 'scan' | 'trusted' | 'convert'

/** Build a pickle file, with other content for each word; "unsafe" ones run the program of that name. */
export function buildPickle(kind: 'clean' | 'unsafe', word = 'true'): Buffer {
  return execFileSync(join(ROOT, '.venv/bin/python'), ['-c', BUILD, kind, word], { cwd: ROOT })
}

/** Upload a pickle file under a policy of the team, and wait until it is verified or refused; return the model's id. */
export async function registerPickle(
  registry: Registry,
  path: string,
  pickle_policy: PicklePolicy,
  bytes: Buffer,
): Promise<string> {
  await setPicklePolicy(registry, pickle_policy)
  const { id } = await registerModel(registry, path, { bytes })
  const read = () => registry.call<{ verification: string }>(registry.owner, 'GET', `/models/${id}`)
  await expect.poll(async () => (await read()).verification).not.toBe('pending')
  return id
}

export async function setPicklePolicy(registry: Registry, pickle_policy: PicklePolicy): Promise<void> {
  await registry.call(registry.owner, 'PUT', '/teams/current', { pickle_policy })
}
