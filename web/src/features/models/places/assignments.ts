// Sending models to machines that their labels exclude, and taking that back.

import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'
import { type BatchResult, runBatch, type Undo, undoAll } from '@/api/runBatch'
import { formatCount } from '@/components/format'
import { notifyError, notifyFailures, notifyWithUndo } from '@/components/notify'

export interface Assignment {
  agent_id: string
  model_id: string
}

const pathOf = ({ agent_id, model_id }: Assignment) => ({ params: { path: { agent_id, model_id } } })

/** Assign a model to a machine; undo does nothing if it was assigned already. */
async function assign(one: Assignment): Promise<Undo> {
  const { is_new } = await unwrap(api.PUT('/api/v1/agents/{agent_id}/models/{model_id}', pathOf(one)))
  return async () => is_new && unassign(one)
}

async function unassign(one: Assignment): Promise<void> {
  await unwrap(api.DELETE('/api/v1/agents/{agent_id}/models/{model_id}', pathOf(one)))
}

/** Assign models to machines; undo ends these assignments. Returns what was refused. */
export async function sendWithUndo(assignments: Assignment[]): Promise<BatchResult<Assignment>['refused']> {
  const { done, refused } = await runBatch(assignments, assign)
  await refreshPlaces()
  if (done.length > 0) {
    notifyWithUndo(`Sent to ${countMachines(done.map(({ item }) => item))}`, async () => {
      const failed = await undoAll(done)
      await refreshPlaces()
      notifyFailures('assignment', 'ended', failed)
    })
  }
  return refused
}

/** End one assignment; undo assigns the model again. */
export async function unassignWithUndo(one: Assignment, modelName: string): Promise<void> {
  try {
    await unassign(one)
    await refreshPlaces()
    notifyWithUndo(`“${modelName}” is no longer sent to ${one.agent_id}.`, async () => {
      await assign(one)
      await refreshPlaces()
    })
  } catch (error) {
    notifyError(error)
  }
}

function countMachines(assignments: Assignment[]): string {
  return formatCount(new Set(assignments.map(({ agent_id }) => agent_id)).size, 'machine')
}

/** Refresh what shows where models are: records and lists, the models of machines, and where workflows can run. */
async function refreshPlaces(): Promise<void> {
  await Promise.all(
    ['models', 'fleet', 'fleet models', 'matrix states', 'matrix', 'workflow checks'].map((key) =>
      queryClient.invalidateQueries({ queryKey: [key] }),
    ),
  )
}
