// Machines of the tests: real agents with a folder of their own, and machines that only report, for what takes long to
// come about with real ones.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ended, type Registry } from './registry'

async function agentKey(registry: Registry, display_name: string): Promise<string> {
  const made = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'agent',
    display_name,
  })
  return made.raw_key
}

/** `modelyard agent run` on a machine of this name, which may be stopped and started again. */
export async function runningAgent(registry: Registry, id: string, settings: Record<string, string> = {}) {
  const models = join(registry.home, id, 'ComfyUI', 'models')
  mkdirSync(models, { recursive: true })
  const environment = { MODELYARD_AGENT_KEY: await agentKey(registry, id), ...environmentOf(registry, id), ...settings }
  const start = () =>
    registry.spawned(['agent', 'run', '--comfyui', join(models, '..'), '--agent-id', id], environment, id)
  const agent = start()
  return { stop: () => ended(agent, 'SIGTERM'), start, files: () => filesIn(models) }
}

/** Where a machine's programs find what is theirs, and nothing of the person who runs the tests. */
export function environmentOf(registry: Registry, id: string): Record<string, string> {
  return {
    MODELYARD_AGENT_URL: registry.url,
    MODELYARD_AGENT_CONFIG: join(registry.home, id, 'agent.toml'),
    MODELYARD_AGENT_KEEP_FREE: '0',
    MODELYARD_CONFIG: join(registry.home, id, 'profiles.json'),
    XDG_STATE_HOME: join(registry.home, id, 'state'),
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.modelyard'))
    .map((entry) => entry.name)
    .sort()
}

export interface Said {
  model_id: string
  state: string
  reason?: string
  bytes_done?: number
}

/** A machine that says what a test tells it to, by the API of machines. */
export class Reporter {
  private number = 0

  private constructor(
    private readonly registry: Registry,
    private readonly key: string,
    readonly id: string,
    private readonly labels: string[],
  ) {}

  static async heard(registry: Registry, id: string, facts: object = {}, labels: string[] = []): Promise<Reporter> {
    const machine = new Reporter(registry, await agentKey(registry, 'reporter'), id, labels)
    await machine.says(facts)
    return machine
  }

  /** A heartbeat, with all that it holds if `states` are given. */
  async says(facts: object = {}, states?: Said[]): Promise<void> {
    if (states) this.number += 1
    const report = states && {
      report_series: String(this.number),
      report_number: 1,
      is_whole: true,
      is_last: true,
      model_list: states.toSorted((one, other) => (one.model_id < other.model_id ? -1 : 1)),
    }
    const answer = await fetch(`${this.registry.url}/api/v1/agent/heartbeat`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        agent_id: this.id,
        agent_labels: this.labels,
        agent_version: '0.3.0',
        ...facts,
        ...report,
      }),
    })
    if (!answer.ok) throw new Error(`heartbeat: ${answer.status} ${await answer.text()}`)
  }
}

/** Make the registry remember a machine as last heard so long ago: nobody waits for it in a test. */
export function silent(registry: Registry, id: string, seconds: number): void {
  const script = `
import sqlite3, sys
from datetime import datetime, timedelta, timezone
with sqlite3.connect(sys.argv[1], timeout=10) as database:
    last, = database.execute("SELECT last_heartbeat FROM agents WHERE agent_id = ?", [sys.argv[2]]).fetchone()
    moment = datetime.fromisoformat(str(last)) - timedelta(seconds=float(sys.argv[3]))
    told = moment.isoformat(sep=" ", timespec="microseconds")
    database.execute("UPDATE agents SET last_heartbeat = ? WHERE agent_id = ?", [told, sys.argv[2]])
`
  const python = join(import.meta.dirname, '../../.venv/bin/python')
  execFileSync(python, ['-c', script, join(registry.home, 'data', 'modelyard.sqlite3'), id, String(seconds)])
}
