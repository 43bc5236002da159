// Reads dropped and selected files of any depth.

export interface PickedFile {
  file: File
  /** The path in the dropped folder, such as `ComfyUI/models/loras/ink.safetensors`. */
  relativePath: string
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
