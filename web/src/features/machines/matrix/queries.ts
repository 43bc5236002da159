// Queries of the matrix: pages of models while scrolling, and live states of the visible ones.

import { keepPreviousData, useInfiniteQuery, useQueries } from '@tanstack/react-query'
import { useMemo } from 'react'
import { api, unwrap } from '@/api/client'
import { ifNoneMatch, liveQueryOptions, readTagged, type Tagged } from '@/api/polling'
import { queryClient } from '@/api/queryClient'
import type { Model, ModelStates } from '@/api/types'
import { countPerStateRequest } from '@/features/machines/countPerStateRequest'
import type { MachineSearch } from '@/features/machines/search'

const PER_PAGE = 100
const ROWS_MILLISECONDS = 10_000
// If more pages are loaded, models are not polled, only their states.
const LIVE_PAGES = 2

export function useRows({ q, missing }: MachineSearch) {
  const query = { per_page: PER_PAGE, ...(q && { q }), ...(missing && { missing_on: 'any' }) }
  const result = useInfiniteQuery({
    queryKey: ['matrix', query],
    queryFn: ({ pageParam }) =>
      unwrap(api.GET('/api/v1/models', { params: { query: { ...query, cursor: pageParam } } })),
    initialPageParam: '',
    getNextPageParam: (page) => page.page_meta.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) <= LIVE_PAGES ? ROWS_MILLISECONDS : false),
  })
  const models = useMemo(() => result.data?.pages.flatMap((page) => page.model_list), [result.data])
  return { ...result, models }
}

interface VisibleStates {
  /** By the model's id; those that are not loaded yet are missing. */
  states: Map<string, ModelStates>
  /** Why some were not loaded, or not loaded again; null if all were. */
  error: Error | null
}

/** Return the states of the models from one row to another; `machines` is how many the team has. */
export function useStates(models: Model[], first: number, last: number, machines: number): VisibleStates {
  const size = countPerStateRequest(machines)
  const chunks = useMemo(() => splitIntoChunks(models, first, last, size), [models, first, last, size])
  return useQueries({ queries: chunks.map(statesQuery), combine: mergeStates })
}

function splitIntoChunks(models: Model[], first: number, last: number, size: number): string[][] {
  const chunks: string[][] = []
  for (let start = Math.floor(first / size) * size; start <= last; start += size) {
    const ids = models.slice(start, start + size).map((model) => model.id)
    if (ids.length) chunks.push(ids)
  }
  return chunks
}

type States = Tagged<{ model_list: ModelStates[] }>

function statesQuery(model_id: string[]) {
  const queryKey = ['matrix states', model_id]
  return {
    queryKey,
    queryFn: ({ signal }: { signal: AbortSignal }) => {
      const known = queryClient.getQueryData<States>(queryKey)
      const params = { query: { model_id }, header: ifNoneMatch(known) }
      return readTagged(api.GET('/api/v1/agent-states', { params, signal }), known)
    },
    ...liveQueryOptions,
  }
}

function mergeStates(answers: { data: States | undefined; error: Error | null }[]): VisibleStates {
  const all = answers.flatMap(({ data }) => data?.body.model_list ?? [])
  const error = answers.find((answer) => answer.error)?.error ?? null
  return { states: new Map(all.map((states) => [states.model_id, states])), error }
}
