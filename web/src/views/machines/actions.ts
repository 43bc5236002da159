// What admins tell machines. Each is shown at once, and what can be undone can be undone from where it is said.

import { answered, api } from '@/api/client'
import type { Agent } from '@/api/types'
import { done, failed, said } from '@/parts/notify'
import { count } from '@/parts/words'
import { lookAgain } from '@/views/machines/fleet'

function at(agent: Agent) {
  return { params: { path: { agent_id: agent.agent_id } } }
}

export async function setPaused(agent: Agent, paused: boolean): Promise<void> {
  await change(agent, { paused })
  const what = paused ? 'fetches and removes nothing for now.' : 'goes on.'
  done(`${agent.agent_id} ${what}`, () => change(agent, { paused: !paused }))
}

export async function setLabels(agent: Agent, labels: string[]): Promise<void> {
  const before = agent.central_labels
  await change(agent, { agent_labels: labels })
  done(`The labels of ${agent.agent_id} are changed.`, () => change(agent, { agent_labels: before }))
}

export async function lookNow(agent: Agent): Promise<void> {
  await answered(api.POST('/api/v1/agents/{agent_id}/sync', at(agent)))
  said(`${agent.agent_id} looks as soon as it is heard of again, within half a minute.`)
}

export async function releaseRemoval(agent: Agent): Promise<void> {
  await answered(api.POST('/api/v1/agents/{agent_id}/approve-removal', at(agent)))
  said(`${agent.agent_id} may remove ${count(agent.removal_waiting, 'file')}.`)
  await lookAgain()
}

export async function forgetMachine(agent: Agent): Promise<void> {
  await answered(api.DELETE('/api/v1/agents/{agent_id}', at(agent)))
  said(`${agent.agent_id} is forgotten.`)
  await lookAgain()
}

async function change(agent: Agent, body: { paused?: boolean; agent_labels?: string[] }): Promise<void> {
  await answered(api.PUT('/api/v1/agents/{agent_id}', { ...at(agent), body: body as Required<typeof body> }))
  await lookAgain()
}

/** Do it, and say so where the registry refuses. Whether it was done. */
export async function tried(what: Promise<void>): Promise<boolean> {
  return what.then(
    () => true,
    (error) => {
      failed(error)
      return false
    },
  )
}
