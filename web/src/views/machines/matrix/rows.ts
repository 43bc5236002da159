// What the matrix shows: models page after page as one scrolls, and the states of those that are seen, kept true.

import { keepPreviousData, useInfiniteQuery, useQueries } from '@tanstack/react-query'
import { useMemo } from 'react'
import { answered, api } from '@/api/client'
import type { Model, ModelStates } from '@/api/types'
import { live, type Tagged, tagged, unless } from '@/api/unchanged'
import { queries } from '@/app/queries'
import type { MachineSearch } from '@/views/machines/search'

const PER_PAGE = 100
const ROWS_MILLISECONDS = 10_000
// More than these are not read again while one looks: only their states are.
const LIVE_PAGES = 2
// Models asked for at once: a screen is one or two of these, and scrolling a little asks for nothing new.
const CHUNK = 25

export function useRows({ q, missing }: MachineSearch) {
  const query = { per_page: PER_PAGE, ...(q && { q }), ...(missing && { missing_on: 'any' }) }
  const found = useInfiniteQuery({
    queryKey: ['matrix', query],
    queryFn: ({ pageParam }) =>
      answered(api.GET('/api/v1/models', { params: { query: { ...query, cursor: pageParam } } })),
    initialPageParam: '',
    getNextPageParam: (page) => page.page_meta.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) <= LIVE_PAGES ? ROWS_MILLISECONDS : false),
  })
  const models = useMemo(() => found.data?.pages.flatMap((page) => page.model_list), [found.data])
  return { ...found, models }
}

/** The states of the models from one row to another, by the model's id; what is not known yet is left out. */
export function useStates(models: Model[], first: number, last: number): Map<string, ModelStates> {
  const chunks = useMemo(() => chunksOf(models, first, last), [models, first, last])
  return useQueries({ queries: chunks.map(statesOf), combine: joined })
}

function chunksOf(models: Model[], first: number, last: number): string[][] {
  const chunks: string[][] = []
  for (let start = Math.floor(first / CHUNK) * CHUNK; start <= last; start += CHUNK) {
    const ids = models.slice(start, start + CHUNK).map((model) => model.id)
    if (ids.length) chunks.push(ids)
  }
  return chunks
}

type States = Tagged<{ model_list: ModelStates[] }>

function statesOf(model_id: string[]) {
  const queryKey = ['matrix states', model_id]
  return {
    queryKey,
    queryFn: ({ signal }: { signal: AbortSignal }) => {
      const known = queries.getQueryData<States>(queryKey)
      const params = { query: { model_id }, header: unless(known) }
      return tagged(api.GET('/api/v1/agent-states', { params, signal }), known)
    },
    ...live,
  }
}

function joined(answers: { data: States | undefined }[]): Map<string, ModelStates> {
  const all = answers.flatMap(({ data }) => data?.body.model_list ?? [])
  return new Map(all.map((states) => [states.model_id, states]))
}
