// Queries of collections: the list, one with its models, its versions, and the collections that have a model.

import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'
import { readAllPages } from '@/api/readAllPages'
import { readRecords } from '@/api/readRecords'
import type { Collection, CollectionOfModel, Model } from '@/api/types'
import { MAX_PAGE_ROWS } from '@/generated/paging'

const VERSIONS_ROWS = 20

/** Query all collections of the team, by name. */
export function useCollections() {
  return useQuery({
    queryKey: ['collections', 'list'],
    queryFn: async ({ signal }) => {
      const pages = await readAllPages((cursor) =>
        unwrap(api.GET('/api/v1/collections', { params: { query: { cursor, per_page: MAX_PAGE_ROWS } }, signal })),
      )
      return pages.flatMap(({ collection_list }) => collection_list)
    },
  })
}

export function readCollection(id: string, signal?: AbortSignal): Promise<Collection> {
  return unwrap(
    api.GET('/api/v1/collections/{collection_id}', {
      params: { path: { collection_id: id } },
      ...(signal && { signal }),
    }),
  )
}

export function useCollection(id: string) {
  return useQuery({
    queryKey: ['collections', 'one', id],
    queryFn: ({ signal }) => readCollection(id, signal),
  })
}

/** Query a version with its models; a version never changes, but its models can be deleted. */
export function useCollectionVersion(id: string, version: number) {
  return useQuery({
    queryKey: ['collections', 'version', id, version],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/collections/{collection_id}/versions/{version}', {
          params: { path: { collection_id: id, version } },
          signal,
        }),
      ),
  })
}

/** Query what a version has that the one before it had not. Versions never change. */
export function useCollectionChanges(id: string, version: number) {
  return useQuery({
    queryKey: ['collections', 'changes', id, version],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/collections/{collection_id}/versions/{version}/changes', {
          params: { path: { collection_id: id, version } },
          signal,
        }),
      ),
  })
}

/** Query the versions of a collection, newest first. */
export function useCollectionVersions(id: string) {
  return useInfiniteQuery({
    queryKey: ['collections', 'versions', id],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/collections/{collection_id}/versions', {
          params: { path: { collection_id: id }, query: { cursor: pageParam, per_page: VERSIONS_ROWS } },
          signal,
        }),
      ),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
  })
}

/** Query the records of models, for their names and pictures; without those that were deleted. */
export function useModelRecords(ids: string[]): ReadonlyMap<string, Model> {
  const { data } = useQuery({
    queryKey: ['models', 'records', ids],
    queryFn: ({ signal }) => readRecords(ids, { signal }),
    placeholderData: keepPreviousData,
    enabled: ids.length > 0,
  })
  return data ?? new Map()
}

/** Read the collections whose newest version, or one that machines get, has a model; by name. */
export async function readCollectionsOfModel(id: string, signal?: AbortSignal): Promise<CollectionOfModel[]> {
  const pages = await readAllPages((cursor) =>
    unwrap(
      api.GET('/api/v1/models/{model_id}/collections', {
        params: { path: { model_id: id }, query: { cursor, per_page: MAX_PAGE_ROWS } },
        ...(signal && { signal }),
      }),
    ),
  )
  return pages.flatMap(({ collection_list }) => collection_list)
}

export function useCollectionsOfModel(id: string, isEnabled: boolean) {
  return useQuery({
    queryKey: ['collections', 'of model', id],
    queryFn: ({ signal }) => readCollectionsOfModel(id, signal),
    enabled: isEnabled,
  })
}

/** Read everything about collections again after a change. */
export function refreshCollections(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ['collections'] })
}
