// The size of a model: of its file, or of all files of a folder.

import type { Model } from '@/api/types'
import { formatBytes, formatCount } from '@/components/format'

type Sizes = Pick<Model, 'file_size' | 'total_size' | 'file_count'>

export function formatModelSize({ file_size, total_size }: Sizes): string {
  return formatBytes(total_size ?? file_size)
}

/** `218 MB`, or of a folder `5.1 GB in 12 files`. */
export function describeModelSize(model: Sizes): string {
  const size = formatModelSize(model)
  return model.file_count === null ? size : `${size} in ${formatCount(model.file_count, 'file')}`
}
