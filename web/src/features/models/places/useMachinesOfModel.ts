// The machines that should have a model; polled faster while a replica is in progress.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Model } from '@/api/types'
import { isInProgress } from '@/components/isInProgress'

const MAX_SHOWN = 100
const ACTIVE_MILLISECONDS = 2_000
const IDLE_MILLISECONDS = 10_000

export function useMachinesOfModel(model: Pick<Model, 'id' | 'model_status' | 'verification' | 'version'>) {
  return useQuery({
    queryKey: ['models', 'machines', model.id, model.model_status, model.verification, model.version],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models/{model_id}/agents', {
          params: { path: { model_id: model.id }, query: { per_page: MAX_SHOWN } },
          signal,
        }),
      ),
    refetchInterval: ({ state }) =>
      state.data?.agent_model_list.some(isInProgress) ? ACTIVE_MILLISECONDS : IDLE_MILLISECONDS,
  })
}
