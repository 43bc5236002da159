// Files that were dropped on another view, until the uploads view takes them.

import type { PickedFile } from '@/features/upload/engine/readFiles'

let dropped: PickedFile[] = []

export function keepDroppedFiles(files: PickedFile[]): void {
  dropped = files
}

/** Return the files, once. */
export function takeDroppedFiles(): PickedFile[] {
  const files = dropped
  dropped = []
  return files
}
