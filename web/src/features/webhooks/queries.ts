// Queries of webhooks and of their newest deliveries.

import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'

const WEBHOOKS = ['webhooks'] as const
const MAX_WEBHOOKS = 100
const MAX_DELIVERIES = 50
const WAITING_MILLISECONDS = 2_000
const IDLE_MILLISECONDS = 30_000

export function useWebhooks() {
  return useQuery({
    queryKey: WEBHOOKS,
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/webhooks', { params: { query: { per_page: MAX_WEBHOOKS, cursor: '' } }, signal })),
    select: ({ webhook_list }) => webhook_list,
    refetchInterval: IDLE_MILLISECONDS,
  })
}

/** Query the newest deliveries of a webhook, often while one is due. */
export function useDeliveries(webhookId: string) {
  return useQuery({
    queryKey: [...WEBHOOKS, webhookId, 'deliveries'],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/webhooks/{webhook_id}/deliveries', {
          params: { path: { webhook_id: webhookId }, query: { per_page: MAX_DELIVERIES, cursor: '' } },
          signal,
        }),
      ),
    select: ({ delivery_list }) => delivery_list,
    staleTime: 0,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.data?.delivery_list.some(({ next_attempt_at }) => next_attempt_at !== null)
        ? WAITING_MILLISECONDS
        : IDLE_MILLISECONDS,
  })
}

export function refreshWebhooks(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: WEBHOOKS })
}
