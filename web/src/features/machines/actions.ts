// Requests of admins about machines. Each refreshes the list; pausing and labels can be undone from the notice.

import { api, unwrap } from '@/api/client'
import type { Agent } from '@/api/types'
import { formatCount } from '@/components/format'
import { notify, notifyError, notifyWithUndo } from '@/components/notify'
import { refreshMachines } from '@/features/machines/useMachines'
import { IDLE_HEARTBEAT_SECONDS } from '@/generated/durations'

function pathOf(agent: Agent) {
  return { params: { path: { agent_id: agent.agent_id } } }
}

export async function setPaused(agent: Agent, paused: boolean): Promise<void> {
  await updateMachine(agent, { paused })
  const what = paused ? 'is paused.' : 'is resumed.'
  notifyWithUndo(`${agent.agent_id} ${what}`, () => updateMachine(agent, { paused: !paused }))
}

export async function setLabels(agent: Agent, labels: string[]): Promise<void> {
  const before = agent.central_labels
  await updateMachine(agent, { agent_labels: labels })
  notifyWithUndo(`The labels of ${agent.agent_id} are changed.`, () => updateMachine(agent, { agent_labels: before }))
}

export async function setBudget(agent: Agent, budget: number | null): Promise<void> {
  const before = agent.disk_budget_bytes
  await updateMachine(agent, { disk_budget_bytes: budget })
  notifyWithUndo(`The disk budget of ${agent.agent_id} is ${budget === null ? 'removed' : 'changed'}.`, () =>
    updateMachine(agent, { disk_budget_bytes: before }),
  )
}

export async function syncNow(agent: Agent): Promise<void> {
  await unwrap(api.POST('/api/v1/agents/{agent_id}/sync', pathOf(agent)))
  notify(`${agent.agent_id} syncs at its next heartbeat, within ${IDLE_HEARTBEAT_SECONDS} seconds.`)
}

/** Approve the removal that `agent` had when it was shown, and no other; the list is refreshed also after a refusal. */
export async function approveRemoval(agent: Agent): Promise<void> {
  if (agent.removal_token === null) return
  const body = { removal_token: agent.removal_token }
  try {
    await unwrap(api.POST('/api/v1/agents/{agent_id}/approve-removal', { ...pathOf(agent), body }))
    notify(`The removal of ${formatCount(agent.removal_waiting, 'file')} on ${agent.agent_id} is approved.`)
  } finally {
    await refreshMachines()
  }
}

export async function removeMachine(agent: Agent): Promise<void> {
  await unwrap(api.DELETE('/api/v1/agents/{agent_id}', pathOf(agent)))
  notify(`${agent.agent_id} is removed.`)
  await refreshMachines()
}

async function updateMachine(
  agent: Agent,
  body: { paused?: boolean; agent_labels?: string[]; disk_budget_bytes?: number | null },
): Promise<void> {
  await unwrap(api.PUT('/api/v1/agents/{agent_id}', { ...pathOf(agent), body }))
  await refreshMachines()
}

/** Run an action and show a refusal as a notice; returns whether it succeeded. */
export async function runAction(what: Promise<void>): Promise<boolean> {
  return what.then(
    () => true,
    (error) => {
      notifyError(error)
      return false
    },
  )
}
