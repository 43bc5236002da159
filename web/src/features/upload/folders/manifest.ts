// The canonical manifest of a folder model, a twin of wire/folders/manifest.py: its hash is that of the folder.

import type { FolderFile } from '@/features/upload/engine/items'

/** Build the manifest of files whose hashes are known: JSON by RFC 8785, sorted by the UTF-8 bytes of the paths. */
export function buildManifest(folder: readonly FolderFile[]): File {
  const entries = folder.map(({ path, file, hash = '' }) => ({
    path,
    sha256: hash.replace('sha256:', ''),
    size: file.size,
  }))
  const files = entries.sort((one, other) => compareBytes(one.path, other.path))
  return new File([JSON.stringify({ files, v: 1 })], 'manifest.json')
}

/** Compare by code points, which is the order of the UTF-8 bytes; JavaScript compares UTF-16 code units. */
function compareBytes(one: string, other: string): number {
  const [left, right] = [Array.from(one), Array.from(other)]
  const index = left.findIndex((letter, at) => letter !== right[at])
  if (index === -1) return left.length - right.length
  return (left[index]?.codePointAt(0) ?? -1) - (right[index]?.codePointAt(0) ?? -1)
}
