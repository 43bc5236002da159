// Queries of the versions of a model: pages, newest first, and single versions.

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { api, unwrap } from '@/api/client'
import { queryClient } from '@/api/queryClient'
import type { Model, ModelVersion } from '@/api/types'

const PAGE_ROWS = 20

/** Query the versions of a model; with `isDeleted` those in the trash. */
export function useVersionPages(modelId: string, isDeleted: boolean) {
  return useInfiniteQuery({
    queryKey: ['models', 'versions', modelId, isDeleted],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/models/{model_id}/versions', {
          params: {
            path: { model_id: modelId },
            query: { cursor: pageParam, per_page: PAGE_ROWS, ...(isDeleted && { deleted: true }) },
          },
          signal,
        }),
      ),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
    select: (data) => data.pages.flatMap((page) => page.version_list),
  })
}

/** Query the versions of a model; `list` begins with the one that the record shows, which may be on a later page. */
export function useVersions(model: Model) {
  const pages = useVersionPages(model.id, false)
  useRefreshOnChange(model)
  const isCurrentMissing = pages.data !== undefined && !pages.data.some(({ version }) => version === model.version)
  const current = useQuery({
    queryKey: ['models', 'version', model.id, model.version],
    queryFn: ({ signal }) => readVersion(model, { signal }),
    enabled: isCurrentMissing,
  })
  return { pages, list: moveToFront(pages.data ?? [], model.version, current.data) }
}

/** Return whether the shown version has a picture itself, and not from an earlier version; undefined until known. */
export function useHasOwnPicture(model: Model): boolean | undefined {
  const mayBeEarlier = model.preview_url !== null && model.version > 1
  const { data } = useQuery({
    queryKey: ['models', 'version', model.id, model.version, model.preview_url],
    queryFn: ({ signal }) => readVersion(model, { signal }),
    enabled: mayBeEarlier,
  })
  return mayBeEarlier ? data && data.preview_url !== null : model.preview_url !== null
}

/** Read the version that a record shows; the team is named if it may not be the one that the page shows. */
export function readVersion(
  { id, version }: Pick<Model, 'id' | 'version'>,
  { signal, teamId }: { signal?: AbortSignal; teamId?: string | undefined } = {},
): Promise<ModelVersion> {
  return unwrap(
    api.GET('/api/v1/models/{model_id}/versions/{version}', {
      params: {
        path: { model_id: id, version },
        ...(teamId !== undefined && { header: { 'X-Team-ID': teamId } }),
      },
      ...(signal && { signal }),
    }),
  )
}

function moveToFront(versions: ModelVersion[], first: number, missing: ModelVersion | undefined): ModelVersion[] {
  const found = versions.find(({ version }) => version === first) ?? missing
  return found ? [found, ...versions.filter(({ version }) => version !== found.version)] : versions
}

/** Reload the versions when the model's record, which is polled, shows that one was added, verified or removed. */
function useRefreshOnChange({ id, version, version_count, verification, pending_version: pending }: Model): void {
  const state = JSON.stringify([version, version_count, verification, pending])
  const loaded = useRef(state)
  useEffect(() => {
    if (loaded.current === state) return
    loaded.current = state
    void queryClient.invalidateQueries({ queryKey: ['models', 'versions', id] })
  }, [id, state])
}
