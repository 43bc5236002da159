// How far an import is, in words.

import type { ModelImport, SourceFile } from '@/api/types'
import { formatAgo, formatBytes } from '@/components/format'

/** Return whether an import goes on by itself. */
export function isWaiting({ import_state }: Pick<ModelImport, 'import_state'>): boolean {
  return import_state === 'queued' || import_state === 'running'
}

const RELIES_ON_ETAG =
  'The download was interrupted, and no hash is declared: only the ETag of the source says that all bytes are of one file.'

export function describeImport(one: ModelImport): string {
  const { import_state: state, error, retry_at, bytes_done, file_size, relies_on_etag } = one
  if (state === 'done') return relies_on_etag ? `Imported. ${RELIES_ON_ETAG}` : 'Imported'
  if (state === 'cancelled') return 'Cancelled'
  if (state === 'failed') return error ?? 'It failed.'
  if (state === 'running') {
    if (bytes_done === 0) return 'Downloading'
    return `Downloading, ${formatBytes(bytes_done)} ${file_size === null ? 'so far' : `of ${formatBytes(file_size)}`}`
  }
  return error && retry_at ? `${error} Trying again ${formatAgo(retry_at)}.` : 'Queued'
}

/** Return the name and size of a file of a source. */
export function describeFile({ name, size }: SourceFile): string {
  return size === null ? name : `${name}, ${formatBytes(size)}`
}
