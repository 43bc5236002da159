// Files and folders that are dropped anywhere on a view.

import { notifyError } from '@/components/notify'
import { useFileDrop } from '@/components/useFileDrop'
import { type PickedFile, readDroppedFiles } from '@/features/upload/engine/readFiles'

/** Read the files and folders of each drop; returns whether some are dragged over the window. */
export function useDrop(onFiles: (files: PickedFile[]) => void): boolean {
  return useFileDrop((data) => void readDroppedFiles(data).then(onFiles, notifyError))
}
