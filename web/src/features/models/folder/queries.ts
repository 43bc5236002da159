// The files of a model that is a folder: pages of the version that is shown, and the download of one file.

import { useInfiniteQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { FolderFile, FolderFiles, Model } from '@/api/types'

const PAGE_ROWS = 50

/** A listed file, with the cursor of the page that has it. */
export interface ListedFile extends FolderFile {
  cursor: string
}

export function useFolderFiles(model: Model) {
  return useInfiniteQuery({
    queryKey: ['models', 'files', model.id, model.version],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => loadPage(model, pageParam, signal),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
    enabled: model.verification === 'verified',
    // The files of a version never change.
    staleTime: Number.POSITIVE_INFINITY,
    select: ({ pages, pageParams }) =>
      pages.flatMap((page, index) =>
        page.file_list.map((file): ListedFile => ({ ...file, cursor: pageParams[index] ?? '' })),
      ),
  })
}

function loadPage(model: Model, cursor: string, signal?: AbortSignal): Promise<FolderFiles> {
  return unwrap(
    api.GET('/api/v1/models/{model_id}/files', {
      params: { path: { model_id: model.id }, query: { version: model.version, cursor, per_page: PAGE_ROWS } },
      ...(signal && { signal }),
    }),
  )
}

/** Download one file in the browser; its address is asked for anew, since those of the list expire. */
export async function downloadFile(model: Model, { path, cursor }: ListedFile): Promise<void> {
  const page = await loadPage(model, cursor)
  const url = page.file_list.find((file) => file.path === path)?.download_url
  if (url === undefined) return
  const link = document.createElement('a')
  link.href = url
  link.download = path.split('/').at(-1) ?? ''
  link.click()
}
