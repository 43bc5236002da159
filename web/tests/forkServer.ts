// Starts one process that has imported modelyard, from which the tests' registries and agents are forked: each start from
// the command line imports for two seconds of one core.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const ROOT = join(import.meta.dirname, '../..')
const PYTHON = join(ROOT, '.venv/bin/python')

/** Start the fork server before all tests, and return what ends it after them. */
export default async function startForkServer(): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'modelyard-fork-server-'))
  const path = join(folder, 'socket')
  const server = spawn(PYTHON, ['-m', 'tests.fork_server', path], { cwd: ROOT, stdio: ['pipe', 'inherit', 'inherit'] })
  while (!existsSync(path)) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error('The fork server ended.')
    await setTimeout(50)
  }
  process.env.MODELYARD_TEST_FORK_SERVER = path
  return () => {
    server.stdin?.end()
    rmSync(folder, { recursive: true })
  }
}

export function isForking(): boolean {
  return process.env.MODELYARD_TEST_FORK_SERVER !== undefined
}

/** Return the program and first arguments that start modelyard, forked if the fork server runs. */
export function getProgram(): [string, ...string[]] {
  return isForking() ? [PYTHON, '-I', '-S', join(ROOT, 'tests/run_forked.py')] : [join(ROOT, '.venv/bin/modelyard')]
}
