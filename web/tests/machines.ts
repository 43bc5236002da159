// Real agents with a folder of their own, and machines that only send heartbeats, for states that real agents reach
// slowly.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Registry, stopProcess } from './registry'

async function createAgentKey(registry: Registry, display_name: string): Promise<string> {
  const created = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'agent',
    display_name,
  })
  return created.raw_key
}

/** Start `modelyard agent run` with this machine id; it can be stopped and restarted. */
export async function startAgent(registry: Registry, id: string, settings: Record<string, string> = {}) {
  const models = join(registry.home, id, 'ComfyUI', 'models')
  mkdirSync(models, { recursive: true })
  const environment = {
    MODELYARD_AGENT_KEY: await createAgentKey(registry, id),
    ...buildEnvironment(registry, id),
    ...settings,
  }
  const start = () =>
    registry.spawnCommand(['agent', 'run', '--comfyui', join(models, '..'), '--agent-id', id], environment, id)
  const agent = start()
  return { stop: () => stopProcess(agent, 'SIGTERM'), start, files: () => listFiles(models) }
}

/** Build environment variables that keep a machine's files in its own folder, apart from those of the user. */
export function buildEnvironment(registry: Registry, id: string): Record<string, string> {
  return {
    MODELYARD_AGENT_URL: registry.url,
    MODELYARD_AGENT_CONFIG: join(registry.home, id, 'agent.toml'),
    MODELYARD_AGENT_KEEP_FREE: '0',
    MODELYARD_CONFIG: join(registry.home, id, 'profiles.json'),
    XDG_STATE_HOME: join(registry.home, id, 'state'),
  }
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.modelyard'))
    .map((entry) => entry.name)
    .sort()
}

export interface ReportedModel {
  model_id: string
  state: string
  reason?: string
  bytes_done?: number
}

/** A machine that sends the heartbeats that a test gives it, by the agent API. */
export class ReportingMachine {
  private number = 0

  private constructor(
    private readonly registry: Registry,
    private readonly key: string,
    readonly id: string,
    private readonly labels: string[],
  ) {}

  static async create(
    registry: Registry,
    id: string,
    facts: object = {},
    labels: string[] = [],
  ): Promise<ReportingMachine> {
    const machine = new ReportingMachine(registry, await createAgentKey(registry, 'reporter'), id, labels)
    await machine.report(facts)
    return machine
  }

  /** Send a heartbeat, with a full report of its models if `states` are given. */
  async report(facts: object = {}, states?: ReportedModel[]): Promise<void> {
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

/** Move the last heartbeat of a machine `seconds` into the past, in the registry's database. */
export function setLastHeartbeat(registry: Registry, id: string, seconds: number): void {
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
