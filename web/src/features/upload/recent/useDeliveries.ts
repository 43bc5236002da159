// The models that the user uploaded lately, in any browser, and their way to the machines.

import { useDidUpdate, useThrottledValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo, useRef } from 'react'
import { api, unwrap } from '@/api/client'
import { ifNoneMatch, readTagged, type Tagged } from '@/api/polling'
import { queryClient } from '@/api/queryClient'
import type { Model, ModelStates } from '@/api/types'
import { countPerStateRequest } from '@/features/machines/countPerStateRequest'
import { useMachines } from '@/features/machines/useMachines'
import { isBeingVerified } from '@/features/models/queries'
import type { Owner } from '@/features/upload/engine/draft'
import type { Item } from '@/features/upload/engine/items'
import { getModel } from '@/features/upload/engine/requests'
import { type Delivery, describeDelivery, isMoving } from '@/features/upload/recent/describeDelivery'
import { listOlder, listUploaded, RECENT_MILLISECONDS } from '@/features/upload/recent/uploadedHere'

const MAX_MODELS = 100
const MOVING_MILLISECONDS = 2_000
const IDLE_MILLISECONDS = 15_000

export interface DeliveredRow {
  model: Model
  delivery: Delivery
}

export interface Deliveries {
  rows: DeliveredRow[]
  /** Whether there are more models than the newest `MAX_MODELS`. */
  isCapped: boolean
}

/** `items` are the files of this page: those that are stored are among the rows. */
export function useDeliveries(whose: Owner, items: readonly Item[]): Deliveries {
  const { models, isCapped } = useRecentModels(whose, items)
  const ids = useMemo(() => models.map(({ id }) => id), [models])
  const { agents } = useMachines()
  const fleet = useMemo(() => {
    const offline = agents?.filter(({ machine_state }) => machine_state === 'offline') ?? []
    return { offline: new Set(offline.map(({ agent_id }) => agent_id)), isEmpty: agents?.length === 0 }
  }, [agents])
  const states = useStatesOf(ids, fleet.offline, agents?.length)
  const rows = useMemo(
    () => models.map((model) => ({ model, delivery: describeDelivery(model, states?.get(model.id), fleet) })),
    [models, states, fleet],
  )
  return { rows, isCapped }
}

const NONE: RecentModels = { models: [], isCapped: false }

interface RecentModels {
  models: Model[]
  isCapped: boolean
}

function useRecentModels(whose: Owner, items: readonly Item[]): RecentModels {
  const itemIds = [...new Set(items.flatMap(({ modelId }) => modelId ?? []))].reverse()
  const newestItemIds = useRef(itemIds)
  newestItemIds.current = itemIds
  const { data, refetch } = useQuery({
    queryKey: ['models', 'uploaded', whose.teamId, whose.userId],
    queryFn: () => readRecentModels(whose, newestItemIds.current),
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.models.some(isBeingVerified) ? MOVING_MILLISECONDS : IDLE_MILLISECONDS,
  })
  // They change when an upload of this page has been registered: with many files, several times a second.
  const registered = useThrottledValue(itemIds.join(), MOVING_MILLISECONDS)
  useDidUpdate(() => void refetch(), [registered])
  return data ?? NONE
}

/** `itemIds` are the models of this page's files, the newest first. */
async function readRecentModels(whose: Owner, itemIds: string[]): Promise<RecentModels> {
  const { teamId } = whose
  const since = Date.now() - RECENT_MILLISECONDS
  // The search knows days: the day before covers 24 hours in each time zone.
  const day = new Date(since).toISOString().slice(0, 10)
  const query = { q: `by:me added:>=${day}`, sort: '-created_at', per_page: MAX_MODELS, cursor: '' } as const
  const page = await unwrap(api.GET('/api/v1/models', { params: { query, header: { 'X-Team-ID': teamId } } }))
  const own = page.model_list.filter(({ created_at }) => Date.parse(created_at) >= since)
  // The list is newest first: if all of it is of these 24 hours, the rest may be as well.
  const isCapped = own.length === page.model_list.length && Boolean(page.page_meta.next_cursor)
  const older = await Promise.all(
    listOlder(own, isCapped, listUploaded(whose), itemIds).map((id) => getModel(teamId, id).catch(() => undefined)),
  )
  return { models: [...older.filter((model) => model !== undefined && !model.deleted_at), ...own] as Model[], isCapped }
}

type States = Tagged<{ model_list: ModelStates[] }>

/** Query the replica states of some models, by the model's id, once it is known how many machines the team has. */
function useStatesOf(
  ids: string[],
  offline: ReadonlySet<string>,
  machines: number | undefined,
): Map<string, ModelStates> | undefined {
  const { data } = useQuery({
    queryKey: ['deliveries', ids],
    queryFn: () => readStates(ids, countPerStateRequest(machines ?? 0)),
    enabled: ids.length > 0 && machines !== undefined,
    placeholderData: keepPreviousData,
    // Each new upload makes another list.
    gcTime: IDLE_MILLISECONDS,
    refetchInterval: ({ state }) =>
      state.data?.some(({ body }) => body.model_list.some((states) => isMoving(states, offline)))
        ? MOVING_MILLISECONDS
        : IDLE_MILLISECONDS,
  })
  return useMemo(
    () => data && new Map(data.flatMap(({ body }) => body.model_list).map((states) => [states.model_id, states])),
    [data],
  )
}

function readStates(ids: string[], size: number): Promise<States[]> {
  const known = queryClient.getQueryData<States[]>(['deliveries', ids])
  const chunks = Array.from({ length: Math.ceil(ids.length / size) }, (_, index) =>
    ids.slice(size * index, size * (index + 1)),
  )
  return Promise.all(
    chunks.map((model_id, index) => {
      const params = { query: { model_id }, header: ifNoneMatch(known?.[index]) }
      return readTagged(api.GET('/api/v1/agent-states', { params }), known?.[index])
    }),
  )
}
