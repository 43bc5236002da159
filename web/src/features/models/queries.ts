// Queries of the models page: pages of models, the total, and single models.

import { type InfiniteData, keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { asProblem, isUnreachable, mayPass } from '@/api/problem'
import { MAX_RETRIES, queryClient } from '@/api/queryClient'
import type { Model, ModelQuery } from '@/api/types'
import type { ModelSearch } from '@/features/models/search'
import { MAX_COUNTED_BY_INDEX, MAX_COUNTED_BY_READING } from '@/generated/paging'

const PAGE_ROWS = 50
// Lists are polled only while few pages are loaded: a person who scrolled far down is reading.
const LIVE_PAGES = 2
const PENDING_MILLISECONDS = 3_000
const SYNCING_MILLISECONDS = 15_000
const IDLE_MILLISECONDS = 15_000
const MAX_PAUSE_MILLISECONDS = 15_000

interface ModelPage {
  model_list: Model[]
  page_meta: { next_cursor?: string | null }
  did_you_mean?: string | null
}
type Pages = InfiniteData<ModelPage, unknown>

/** One record with its ETag. */
export interface ReadModel {
  model: Model
  etag: string
}

/** Build the list query from search parameters; the view and the open model are not part of it. */
export function buildQuery({ q, sort, trash }: ModelSearch): ModelQuery {
  return { ...(q && { q }), ...(sort && { sort }), ...(trash && { deleted: true }) }
}

export function useModels(asked: ModelQuery) {
  return useInfiniteQuery({
    queryKey: ['models', 'list', asked],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }): Promise<ModelPage> =>
      unwrap(
        api.GET('/api/v1/models', { params: { query: { ...asked, cursor: pageParam, per_page: PAGE_ROWS } }, signal }),
      ),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    // Until the registry answers again, the rows of the search before stay.
    retry: (failures, error) => isUnreachable(error) || (failures < MAX_RETRIES && mayPass(error)),
    retryDelay: (failures) => Math.min(1_000 * 2 ** failures, MAX_PAUSE_MILLISECONDS),
    staleTime: 15_000,
    gcTime: 60_000,
    refetchInterval: ({ state }) => liveInterval(state.data),
  })
}

function liveInterval(pages: Pages | undefined): number | false {
  if (!pages || pages.pages.length > LIVE_PAGES) return false
  const models = flattenPages(pages).filter((model) => !model.deleted_at)
  if (models.some(isBeingVerified)) return PENDING_MILLISECONDS
  return models.some((model) => isPending(model) || model.agents_ready < model.agents_desired) && SYNCING_MILLISECONDS
}

function listStates(model: Model): Pick<Model, 'verification' | 'verification_error'>[] {
  return [model, model.pending_version].filter((state) => state !== null)
}

function isPending(model: Model): boolean {
  return listStates(model).some(({ verification }) => verification === 'pending')
}

/** Return whether the model's content, or that of a newer version, is being verified, and not to be tried again later. */
export function isBeingVerified(model: Model): boolean {
  return listStates(model).some((state) => state.verification === 'pending' && !state.verification_error)
}

export function flattenPages(pages: Pages | undefined): Model[] {
  return pages?.pages.flatMap((page) => page.model_list) ?? []
}

/** A number of models; `isAtLeast` if the registry stopped counting at it. */
export interface Total {
  count: number
  isAtLeast: boolean
}

// One model, in an order for which the registry does not compare all.
const AS_COUNTED = { sort: '-created_at', per_page: 1 } as const

/** Return the number of models in a list. */
export function useTotal(asked: ModelQuery): Total | undefined {
  const { sort: _sort, ...filters } = asked
  const { data } = useQuery({
    queryKey: ['models', 'total', filters],
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/models', { params: { query: { ...filters, ...AS_COUNTED } }, signal })),
    placeholderData: keepPreviousData,
    select: (page) => page.page_meta.total_count ?? undefined,
  })
  if (data === undefined) return undefined
  const number = Object.keys(filters).length
  const most = number === 1 && !filters.q ? MAX_COUNTED_BY_INDEX : MAX_COUNTED_BY_READING
  return { count: data, isAtLeast: number > 0 && data >= most }
}

export async function readModel(id: string, signal?: AbortSignal): Promise<ReadModel> {
  const asked = api.GET('/api/v1/models/{model_id}', {
    params: { path: { model_id: id } },
    ...(signal && { signal }),
  })
  const model = await unwrap(asked)
  return { model, etag: (await asked).response.headers.get('ETag') ?? '' }
}

/** Query a model, with the list's data as a placeholder; polled faster while verification is pending. */
export function useModel(id: string) {
  return useQuery<ReadModel>({
    queryKey: ['models', 'one', id],
    queryFn: ({ signal }) => readModel(id, signal),
    placeholderData: () => {
      const model = findInLists(id)
      return model && { model, etag: '' }
    },
    refetchInterval: ({ state }) =>
      state.data && isBeingVerified(state.data.model) ? PENDING_MILLISECONDS : IDLE_MILLISECONDS,
  })
}

/** Find a model in the loaded lists. */
function findInLists(id: string): Model | undefined {
  const lists = queryClient.getQueriesData<Pages>({ queryKey: ['models', 'list'] })
  return lists.flatMap(([, pages]) => flattenPages(pages)).find((model) => model.id === id)
}

/** Reload a model's record and update all loaded lists. */
export async function refreshModel(id: string): Promise<ReadModel> {
  const read = await readModel(id)
  queryClient.setQueryData(['models', 'one', id], read)
  updateLists((models) => models.map((model) => (model.id === id ? read.model : model)))
  return read
}

/** Remove models from the loaded lists at once, before the next refresh. */
export function removeFromLists(ids: ReadonlySet<string>): void {
  updateLists((models) => models.filter((model) => !ids.has(model.id)))
}

/** Reload a model that is shown in the details, and refresh the lists. */
export async function refreshShown(id: string): Promise<void> {
  await refreshModel(id)
  void refreshLists()
}

/** Refresh lists and totals after a change. */
export function refreshLists(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ['models'], predicate: ({ queryKey }) => queryKey[1] !== 'one' })
}

function updateLists(change: (models: Model[]) => Model[]): void {
  queryClient.setQueriesData<Pages>(
    { queryKey: ['models', 'list'] },
    (pages) =>
      pages && { ...pages, pages: pages.pages.map((page) => ({ ...page, model_list: change(page.model_list) })) },
  )
}

export function isNotFound(error: unknown): boolean {
  return asProblem(error).status === 404
}
