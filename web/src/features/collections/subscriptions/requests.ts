// Subscriptions of a collection: machines and labels that get its newest version. Changes can be undone.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'
import { readAllPages } from '@/api/readAllPages'
import type { Collection, NewSubscription, Subscription } from '@/api/types'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { updateCollection } from '@/features/collections/mutations'
import { refreshMachines } from '@/features/machines/useMachines'
import { MAX_PAGE_ROWS } from '@/generated/paging'

/** Query all subscriptions of a collection, oldest first. */
export function useSubscriptions(collectionId: string) {
  return useQuery({
    queryKey: ['collections', 'subscriptions', collectionId],
    queryFn: async ({ signal }) => {
      const pages = await readAllPages((cursor) =>
        unwrap(
          api.GET('/api/v1/collections/{collection_id}/subscriptions', {
            params: { path: { collection_id: collectionId }, query: { cursor, per_page: MAX_PAGE_ROWS } },
            signal,
          }),
        ),
      )
      return pages.flatMap(({ subscription_list }) => subscription_list)
    },
  })
}

export async function subscribeWithUndo(collection: Collection, target: NewSubscription): Promise<void> {
  await attempt(async () => {
    const id = await subscribe(collection, target)
    notifyWithUndo(`${describeTarget(target)} subscribed to “${collection.name}”.`, () => unsubscribe(collection, id))
  })
}

export async function unsubscribeWithUndo(collection: Collection, subscription: Subscription): Promise<void> {
  const { id, label, agent_id } = subscription
  const target = label === null ? { agent_id } : { label }
  await attempt(async () => {
    await unsubscribe(collection, id)
    notifyWithUndo(`${describeTarget(target)} no longer subscribed to “${collection.name}”.`, async () => {
      await subscribe(collection, target)
    })
  })
}

export async function pinWithUndo({ id, name }: Collection, isPinned: boolean): Promise<void> {
  const what = isPinned ? 'is pinned' : 'is no longer pinned'
  const effect = isPinned ? 'the versions that it lists' : 'the versions that are current in the registry'
  await attempt(async () => {
    await updateCollection(id, { is_pinned: isPinned })
    notifyWithUndo(`“${name}” ${what}: subscribed machines hold ${effect}.`, () =>
      updateCollection(id, { is_pinned: !isPinned }),
    )
  })
}

function describeTarget({ label, agent_id }: NewSubscription): string {
  return label ? `Machines with the label “${label}” are` : `The machine “${agent_id}” is`
}

async function attempt(action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    notifyError(error)
    await refreshSubscriptions()
  }
}

async function subscribe({ id }: Collection, body: NewSubscription): Promise<string> {
  const created = await unwrap(
    api.POST('/api/v1/collections/{collection_id}/subscriptions', { params: { path: { collection_id: id } }, body }),
  )
  await refreshSubscriptions()
  return created.id
}

async function unsubscribe({ id }: Collection, subscriptionId: string): Promise<void> {
  await unwrap(
    api.DELETE('/api/v1/collections/{collection_id}/subscriptions/{subscription_id}', {
      params: { path: { collection_id: id, subscription_id: subscriptionId } },
    }),
  )
  await refreshSubscriptions()
}

async function refreshSubscriptions(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ['collections', 'subscriptions'] })
  void refreshMachines()
}
