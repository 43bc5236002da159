// A registry with very many models, put into its database before it starts: uploading them would take hours.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Registry } from './registry'

const REPOSITORY = join(import.meta.dirname, '../..')

export async function crowded(count: number): Promise<Registry> {
  const registry = new Registry()
  // The first start makes the tables and the team.
  await registry.start()
  await registry.stop()
  execFileSync(join(REPOSITORY, '.venv/bin/python'), ['-m', 'bench.crowded', join(registry.home, 'data'), `${count}`], {
    cwd: REPOSITORY,
  })
  await registry.start()
  return registry
}
