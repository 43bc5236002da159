// Reads dropped and selected files of any depth, and selects those that can be models.

import { getExtension } from '@/features/upload/engine/suggestPath'
import { EXTENSIONS } from '@/generated/formats'

export interface PickedFile {
  file: File
  /** The path in the dropped folder, such as `ComfyUI/models/loras/ink.safetensors`. */
  relativePath: string
}

export interface Selection {
  models: PickedFile[]
  /** Number of skipped files by reason. */
  skipped: Map<string, number>
}

/** Read the files and folders of a drop. Must be called in the drop handler: later the browser has cleared them. */
export function readDroppedFiles(transfer: DataTransfer): Promise<PickedFile[]> {
  const entries = Array.from(transfer.items, (one) => (one.kind === 'file' ? one.webkitGetAsEntry() : null))
  const found = entries.filter((entry) => entry !== null)
  return Promise.all(found.map(readEntry)).then((all) => all.flat())
}

/** Files of a file or folder picker. */
export function readPickedFiles(files: FileList): PickedFile[] {
  return Array.from(files, (file) => ({ file, relativePath: file.webkitRelativePath || file.name }))
}

export function selectModels(all: PickedFile[]): Selection {
  const models: PickedFile[] = []
  const skipped = new Map<string, number>()
  for (const one of all) {
    const why = getSkipReason(one)
    if (why) skipped.set(why, (skipped.get(why) ?? 0) + 1)
    else models.push(one)
  }
  return { models: models.sort((a, b) => (a.relativePath < b.relativePath ? -1 : 1)), skipped }
}

function getSkipReason({ relativePath }: PickedFile): string | undefined {
  if (relativePath.split('/').some((part) => part.startsWith('.'))) return 'hidden'
  const suffix = getExtension(relativePath.split('/').at(-1) ?? '')
  if (EXTENSIONS.includes(suffix)) return undefined
  return suffix || 'without an extension'
}

async function readEntry(entry: FileSystemEntry): Promise<PickedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((found, failed) => (entry as FileSystemFileEntry).file(found, failed))
    return [{ file, relativePath: entry.fullPath.replace(/^\//, '') }]
  }
  // Skip hidden folders: they may be large (.git) and contain no models.
  if (entry.name.startsWith('.')) return []
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const below: FileSystemEntry[] = []
  for (;;) {
    // A reader returns at most 100 entries at a time.
    const some = await new Promise<FileSystemEntry[]>((found, failed) => reader.readEntries(found, failed))
    if (some.length === 0) break
    below.push(...some)
  }
  return (await Promise.all(below.map(readEntry))).flat()
}
