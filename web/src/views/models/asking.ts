// What this view asks of the registry: pages of models, how many there are, and one model as it is now.

import { type InfiniteData, keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import type { Model, ModelQuery } from '@/api/types'
import { queries } from '@/app/queries'
import type { ModelSearch } from '@/views/models/search'

const PAGE_ROWS = 50
// Up to these, the registry counts: more would be a scan.
const MOST_COUNTED = 10_000
const MOST_SOUGHT = 1_000
// Whoever has scrolled far down is reading; only a list that is near its beginning is asked for again by itself.
const LIVE_PAGES = 2
const PENDING_MILLISECONDS = 3_000
const ARRIVING_MILLISECONDS = 15_000

interface ModelPage {
  model_list: Model[]
  page_meta: { next_cursor?: string | null }
}
type Pages = InfiniteData<ModelPage, unknown>

/** One record, and the tag under which it may be changed. */
export interface ReadModel {
  model: Model
  etag: string
}

/** The list that an address asks for: what is open in it makes no other list. */
export function askedFor({ missing, trash, view: _view, model: _model, ...filters }: ModelSearch): ModelQuery {
  return { ...filters, ...(missing && { missing_on: 'any' }), ...(trash && { deleted: true }) }
}

export function useModels(asked: ModelQuery) {
  return useInfiniteQuery({
    queryKey: ['models', 'list', asked],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }): Promise<ModelPage> =>
      answered(
        api.GET('/api/v1/models', { params: { query: { ...asked, cursor: pageParam, per_page: PAGE_ROWS } }, signal }),
      ),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    staleTime: 15_000,
    gcTime: 60_000,
    refetchInterval: ({ state }) => liveInterval(state.data),
  })
}

function liveInterval(pages: Pages | undefined): number | false {
  if (!pages || pages.pages.length > LIVE_PAGES) return false
  const models = rowsOf(pages).filter((model) => !model.deleted_at)
  if (models.some((model) => model.verification === 'pending')) return PENDING_MILLISECONDS
  return models.some((model) => model.agents_ready < model.agents_wanted) && ARRIVING_MILLISECONDS
}

export function rowsOf(pages: Pages | undefined): Model[] {
  return pages?.pages.flatMap((page) => page.model_list) ?? []
}

/** How many models there are in words that are true: the registry stops counting somewhere. */
export function useTotal(asked: ModelQuery): { count: number; isAtLeast: boolean } | undefined {
  const { sort: _sort, ...filters } = asked
  const { data } = useQuery({
    queryKey: ['models', 'total', filters],
    queryFn: ({ signal }) =>
      answered(api.GET('/api/v1/models', { params: { query: { ...filters, per_page: 1 } }, signal })),
    placeholderData: keepPreviousData,
    select: (page) => page.page_meta.total_count ?? undefined,
  })
  if (data === undefined) return undefined
  const number = Object.keys(filters).length
  const most = number === 1 && !filters.q ? MOST_COUNTED : MOST_SOUGHT
  return { count: data, isAtLeast: number > 0 && data >= most }
}

export async function readModel(id: string, signal?: AbortSignal): Promise<ReadModel> {
  const asked = api.GET('/api/v1/models/{model_id}', {
    params: { path: { model_id: id } },
    ...(signal && { signal }),
  })
  const model = await answered(asked)
  return { model, etag: (await asked).response.headers.get('ETag') ?? '' }
}

/** A model as it is now, first as the list knows it; asked for again while something of it is under way. */
export function useModel(id: string) {
  return useQuery<ReadModel>({
    queryKey: ['models', 'one', id],
    queryFn: ({ signal }) => readModel(id, signal),
    placeholderData: () => {
      const model = listed(id)
      return model && { model, etag: '' }
    },
    refetchInterval: ({ state }) => (state.data?.model.verification === 'pending' ? PENDING_MILLISECONDS : 15_000),
  })
}

/** What some loaded list says of a model. */
function listed(id: string): Model | undefined {
  const lists = queries.getQueriesData<Pages>({ queryKey: ['models', 'list'] })
  return lists.flatMap(([, pages]) => rowsOf(pages)).find((model) => model.id === id)
}

/** Ask for a model's record again, and show it wherever the model is shown. */
export async function renew(id: string): Promise<ReadModel> {
  const read = await readModel(id)
  queries.setQueryData(['models', 'one', id], read)
  eachList((models) => models.map((model) => (model.id === id ? read.model : model)))
  return read
}

/** Take models out of the loaded lists at once; what the registry has instead comes with the next answer. */
export function takeOut(ids: ReadonlySet<string>): void {
  eachList((models) => models.filter((model) => !ids.has(model.id)))
}

/** Ask for the lists and totals again: something was changed. */
export function renewLists(): Promise<void> {
  return queries.invalidateQueries({ queryKey: ['models'], predicate: ({ queryKey }) => queryKey[1] !== 'one' })
}

function eachList(change: (models: Model[]) => Model[]): void {
  queries.setQueriesData<Pages>(
    { queryKey: ['models', 'list'] },
    (pages) =>
      pages && { ...pages, pages: pages.pages.map((page) => ({ ...page, model_list: change(page.model_list) })) },
  )
}

export function isGone(error: unknown): boolean {
  return asProblem(error).status === 404
}
