// What was dropped or picked: files of any depth, and those among them that can be models.

import { SUFFIXES, suffixOf } from '@/uploading/placing'

export interface Picked {
  file: File
  /** Its path in what was dropped, such as `ComfyUI/models/loras/ink.safetensors`. */
  around: string
}

export interface Selection {
  models: Picked[]
  /** How many files are no models, by why. */
  leftOut: Map<string, number>
}

/** Files and folders of a drop. It must be called while the drop is handled: later the browser has taken them away. */
export function dropped(transfer: DataTransfer): Promise<Picked[]> {
  const entries = Array.from(transfer.items, (one) => (one.kind === 'file' ? one.webkitGetAsEntry() : null))
  const found = entries.filter((entry) => entry !== null)
  return Promise.all(found.map(filesBelow)).then((all) => all.flat())
}

/** Files of a file or folder picker. */
export function picked(files: FileList): Picked[] {
  return Array.from(files, (file) => ({ file, around: file.webkitRelativePath || file.name }))
}

export function selected(all: Picked[]): Selection {
  const models: Picked[] = []
  const leftOut = new Map<string, number>()
  for (const one of all) {
    const why = reasonAgainst(one)
    if (why) leftOut.set(why, (leftOut.get(why) ?? 0) + 1)
    else models.push(one)
  }
  return { models: models.sort((a, b) => (a.around < b.around ? -1 : 1)), leftOut }
}

function reasonAgainst({ around }: Picked): string | undefined {
  if (around.split('/').some((part) => part.startsWith('.'))) return 'hidden'
  const suffix = suffixOf(around.split('/').at(-1) ?? '')
  if (SUFFIXES.includes(suffix)) return undefined
  return suffix || 'without an extension'
}

async function filesBelow(entry: FileSystemEntry): Promise<Picked[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((found, failed) => (entry as FileSystemFileEntry).file(found, failed))
    return [{ file, around: entry.fullPath.replace(/^\//, '') }]
  }
  // A hidden folder may be large, a repository's history for instance, and nothing in it is wanted.
  if (entry.name.startsWith('.')) return []
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const below: FileSystemEntry[] = []
  for (;;) {
    // A reader gives a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((found, failed) => reader.readEntries(found, failed))
    if (some.length === 0) break
    below.push(...some)
  }
  return (await Promise.all(below.map(filesBelow))).flat()
}
