// A machine as the registry knows it: what it says of its models, said by the agent's own API with a key of its own.

import { randomUUID } from 'node:crypto'
import type { Registry } from './registry'

export interface Said {
  model_id: string
  state: 'wanted' | 'downloading' | 'verifying' | 'ready' | 'conflict' | 'blocked' | 'failed'
  reason?: string
  bytes_done?: number
}

export class Machine {
  private constructor(
    private readonly registry: Registry,
    private readonly key: string,
    readonly agent_id: string,
  ) {}

  static async paired(registry: Registry, agent_id: string): Promise<Machine> {
    const made = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
      kind: 'agent',
      display_name: agent_id,
    })
    const machine = new Machine(registry, made.raw_key, agent_id)
    await machine.says([])
    return machine
  }

  /** All that it has to say of its models, anew. */
  async says(model_list: Said[]): Promise<void> {
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

  async forgotten(): Promise<void> {
    await this.registry.call(this.registry.owner, 'DELETE', `/agents/${this.agent_id}`)
  }
}
