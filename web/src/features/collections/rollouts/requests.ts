// Roll-outs of a collection: the last one with its machines, and what an admin does with it.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { liveQueryOptions } from '@/api/polling'
import type { Collection, NewRollout, Rollout } from '@/api/types'
import { notify, notifyError } from '@/components/notify'
import { updateCollection } from '@/features/collections/mutations'
import { refreshCollections } from '@/features/collections/queries'
import { refreshMachines } from '@/features/machines/useMachines'

export type RolloutAction = 'approve' | 'approve without canaries' | 'stop' | 'roll-back'

/** Query the newest roll-out of a collection, and while it runs again and again; null if there is none. */
export function useLastRollout(collectionId: string) {
  return useQuery({
    queryKey: ['collections', 'rollout', collectionId],
    queryFn: ({ signal }) => readLastRollout(collectionId, signal),
    refetchInterval: ({ state }) => isRunning(state.data) && liveQueryOptions.refetchInterval(),
  })
}

async function readLastRollout(collection_id: string, signal: AbortSignal): Promise<Rollout | null> {
  const { rollout_list: newest } = await unwrap(
    api.GET('/api/v1/collections/{collection_id}/rollouts', {
      params: { path: { collection_id }, query: { per_page: 1 } },
      signal,
    }),
  )
  const last = newest[0]
  if (!last) return null
  return unwrap(
    api.GET('/api/v1/collections/{collection_id}/rollouts/{rollout_id}', {
      params: { path: { collection_id, rollout_id: last.id } },
      signal,
    }),
  )
}

/** Whether the registry goes on by itself, or once it is approved. */
export function isRunning(rollout: Rollout | null | undefined): boolean {
  return rollout != null && ['canary', 'waiting_for_approval', 'rolling_out'].includes(rollout.state)
}

export async function startRollout({ id }: Collection, body: NewRollout): Promise<void> {
  await unwrap(
    api.POST('/api/v1/collections/{collection_id}/rollouts', { params: { path: { collection_id: id } }, body }),
  )
  await refresh()
}

/** Approve, stop or roll back a roll-out, and show a notice. */
export async function changeRollout(rollout: Rollout, action: RolloutAction, message: string): Promise<void> {
  const { collection_id, id: rollout_id } = rollout
  const options = { params: { path: { collection_id, rollout_id } } }
  try {
    if (action === 'approve' || action === 'approve without canaries') {
      const body = { without_canaries: action === 'approve without canaries' }
      await unwrap(api.POST('/api/v1/collections/{collection_id}/rollouts/{rollout_id}/approve', { ...options, body }))
    } else if (action === 'stop') {
      await unwrap(api.POST('/api/v1/collections/{collection_id}/rollouts/{rollout_id}/stop', options))
    } else {
      await unwrap(api.POST('/api/v1/collections/{collection_id}/rollouts/{rollout_id}/roll-back', options))
    }
    notify(message)
  } catch (error) {
    notifyError(error)
  }
  await refresh()
}

/** Hold the new versions of a collection for a roll-out, or send them to machines at once again. */
export async function setHeld({ id, name }: Collection, isHeld: boolean): Promise<void> {
  try {
    await updateCollection(id, { is_held: isHeld })
    notify(isHeld ? `New versions of “${name}” wait for a roll-out.` : `“${name}” is no longer held.`)
  } catch (error) {
    notifyError(error)
  }
}

async function refresh(): Promise<void> {
  await refreshCollections()
  void refreshMachines()
}
