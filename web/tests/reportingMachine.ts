// A machine that reports the states of its models by the agent API, with a key of its own.

import { randomUUID } from 'node:crypto'
import type { Registry } from './registry'

export interface ReportedModel {
  model_id: string
  state: 'queued' | 'downloading' | 'verifying' | 'ready' | 'conflict' | 'blocked' | 'failed'
  reason?: string
  bytes_done?: number
}

export class Machine {
  private constructor(
    private readonly registry: Registry,
    private readonly key: string,
    readonly agent_id: string,
  ) {}

  static async create(registry: Registry, agent_id: string): Promise<Machine> {
    const created = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
      kind: 'agent',
      display_name: agent_id,
    })
    const machine = new Machine(registry, created.raw_key, agent_id)
    await machine.report([])
    return machine
  }

  /** Send a heartbeat with a full report of its models. */
  async report(model_list: ReportedModel[]): Promise<void> {
    const answer = await fetch(`${this.registry.url}/api/v1/agent/heartbeat`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        agent_id: this.agent_id,
        agent_status: 'idle',
        report_series: randomUUID(),
        report_number: 1,
        is_whole: true,
        is_last: true,
        model_list: [...model_list].sort((one, other) => (one.model_id < other.model_id ? -1 : 1)),
      }),
    })
    if (!answer.ok) throw new Error(`heartbeat: ${answer.status} ${await answer.text()}`)
  }

  async remove(): Promise<void> {
    await this.registry.call(this.registry.owner, 'DELETE', `/agents/${this.agent_id}`)
  }
}
