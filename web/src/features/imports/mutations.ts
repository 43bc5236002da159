// Changes of imports: start, cancel and retry.

import { api, unwrap } from '@/api/client'
import { asProblem, Problem } from '@/api/problem'
import type { BatchResult } from '@/api/runBatch'
import { isProblemBody } from '@/api/session'
import type { ImportDraft, ModelImport, NewImport, SourceFile } from '@/api/types'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { confirmFile } from '@/features/imports/draftFields'
import { refreshImports } from '@/features/imports/queries'
import { MAX_BATCH_ITEMS } from '@/generated/paging'

export type RefusedFile = BatchResult<SourceFile>['refused'][number]

/** Start an import. One that is refused because another person's is running shows that one in the list. */
export async function startImport(body: NewImport): Promise<void> {
  await unwrap(api.POST('/api/v1/imports', { body })).finally(refreshImports)
}

/** Start an import of each file of a draft, and return those that were refused, which does not stop the others. */
export async function startImports(draft: ImportDraft, files: SourceFile[]): Promise<RefusedFile[]> {
  const refused: RefusedFile[] = []
  for (let start = 0; start < files.length; start += MAX_BATCH_ITEMS) {
    refused.push(...(await startBatch(draft, files.slice(start, start + MAX_BATCH_ITEMS))))
  }
  await refreshImports()
  return refused
}

/** Start the imports of one request; if it fails, all of them count as refused. */
async function startBatch(draft: ImportDraft, files: SourceFile[]): Promise<RefusedFile[]> {
  const body = { import_list: files.map((file) => confirmFile(draft, file)) }
  try {
    const { result_list } = await unwrap(api.POST('/api/v1/imports/start-batch', { body }))
    return files.flatMap((item, index) => {
      const result = result_list[index]
      return isProblemBody(result) ? [{ item, problem: new Problem(result) }] : []
    })
  } catch (error) {
    return files.map((item) => ({ item, problem: asProblem(error) }))
  }
}

/** Cancel an import and show a notice with undo, which downloads it from the start. */
export async function cancelImport({ id, display_name }: ModelImport): Promise<void> {
  try {
    await unwrap(api.POST('/api/v1/imports/{import_id}/cancel', { params: { path: { import_id: id } } }))
    notifyWithUndo(`The import of “${display_name}” was cancelled`, () => sendRetry(id))
  } catch (error) {
    notifyError(error)
  }
  await refreshImports()
}

export async function retryImport({ id }: ModelImport): Promise<void> {
  await sendRetry(id).catch(notifyError)
}

async function sendRetry(id: string): Promise<void> {
  await unwrap(api.POST('/api/v1/imports/{import_id}/retry', { params: { path: { import_id: id } } }))
  await refreshImports()
}
