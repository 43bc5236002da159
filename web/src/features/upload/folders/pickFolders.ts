// Folders among dropped and selected files that may be one model each, and what such a model may contain.

import type { FolderFile } from '@/features/upload/engine/items'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { findTypeFolder, getExtension } from '@/features/upload/engine/suggestPath'
import { EXTENSIONS, FOLDER_EXTENSIONS, FOLDER_NAMES, MAX_FOLDER_FILES } from '@/generated/formats'
import { FOLDER_MODEL_TYPES } from '@/generated/modelTypes'

// At the top of a folder that a loader reads as one model.
const PIPELINE = 'model_index.json'
const CONFIGURATIONS = [PIPELINE, 'config.json']
// Weights in several files, with an index that says which tensor is in which: `model-00001-of-00002.safetensors`.
const SHARD = /-\d{5}-of-\d{5}\.[^.]+$/
const SHARD_INDEX = /\.index\.json$/

export interface PickedFolder {
  name: string
  /** Its path in what was dropped, such as `ComfyUI/models/diffusers/ink`. */
  path: string
  /** Without hidden and empty files, whose number is `leftOut`. */
  files: FolderFile[]
  leftOut: number
  /** The files as they were picked, to upload each on its own. */
  picked: PickedFile[]
}

/** Split what was picked into folders of any depth that look like one model each, and all other files. */
export function splitFolders(all: PickedFile[]): { folders: PickedFolder[]; others: PickedFile[] } {
  const candidates = findCandidates(all)
  const folders = groupFiles(all, ({ relativePath }) =>
    listFolders(relativePath).find((path) => candidates.has(path)),
  ).filter(hasWeights)
  const taken = new Set(folders.flatMap(({ picked }) => picked))
  return { folders, others: all.filter((one) => !taken.has(one)) }
}

/** Return the picked folders, each with all files below it. */
export function groupFolders(all: PickedFile[]): PickedFolder[] {
  return groupFiles(all, ({ relativePath }) => listFolders(relativePath)[0])
}

function groupFiles(all: PickedFile[], getFolder: (one: PickedFile) => string | undefined): PickedFolder[] {
  const groups = new Map<string, PickedFile[]>()
  for (const one of all) {
    const folder = getFolder(one)
    if (folder === undefined) continue
    const group = groups.get(folder)
    if (group) group.push(one)
    else groups.set(folder, [one])
  }
  return [...groups].map(([path, picked]) => buildFolder(path, picked))
}

function buildFolder(folder: string, picked: PickedFile[]): PickedFolder {
  const files = picked.flatMap(({ file, relativePath }) => {
    const path = relativePath.slice(folder.length + 1).normalize('NFC')
    return isHidden(path) || file.size === 0 ? [] : [{ path, file }]
  })
  return { name: folder.split('/').at(-1) ?? '', path: folder, files, leftOut: picked.length - files.length, picked }
}

/** Return the folders of a path, the outermost first: `a/b/c.bin` → `a`, `a/b`. */
function listFolders(relativePath: string): string[] {
  const parts = relativePath.split('/').slice(0, -1)
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}

/** Return the folders that contain a configuration, or weights in several files with their index. */
function findCandidates(all: PickedFile[]): Set<string> {
  const names = new Map<string, string[]>()
  for (const { file, relativePath } of all) {
    const slash = relativePath.lastIndexOf('/')
    if (slash < 0 || file.size === 0) continue
    const folder = relativePath.slice(0, slash)
    const group = names.get(folder)
    if (group) group.push(relativePath.slice(slash + 1))
    else names.set(folder, [relativePath.slice(slash + 1)])
  }
  const folders = [...names].filter(([path, files]) => describesModel(files) && !isHidden(path) && !isTypeFolder(path))
  return new Set(folders.map(([path]) => path))
}

function describesModel(names: string[]): boolean {
  const isSharded = names.some((name) => SHARD.test(name)) && names.some((name) => SHARD_INDEX.test(name))
  return isSharded || names.some((name) => CONFIGURATIONS.includes(name))
}

function isHidden(path: string): boolean {
  return path.split('/').some((part) => part.startsWith('.'))
}

/** Return whether it is a folder of ComfyUI's that has many models, such as `ComfyUI/models/text_encoders`. */
function isTypeFolder(path: string): boolean {
  const [parent, name] = path.split('/').slice(-2)
  return parent?.toLowerCase() === 'models' && name !== undefined && findFolder(name) !== undefined
}

function hasWeights({ files }: PickedFolder): boolean {
  return files.some(({ path }) => EXTENSIONS.includes(getExtension(path)))
}

/** Suggest the path of a folder model: its place below a models folder; without a type, if only its loader knows it. */
export function suggestFolderPath({ name, path, files }: PickedFolder): string {
  const [, folder, below] = /(?:^|\/)models\/([^/]+)\/(.+)$/i.exec(path) ?? []
  if (folder !== undefined) return `models/${findFolder(folder) ?? folder}/${below}`
  return files.some((one) => one.path === PIPELINE) ? `models/diffusers/${name}` : name
}

/** Return the known folder, also one of models of many files, that a folder directly below `models` is. */
function findFolder(name: string): string | undefined {
  const spelling = name.toLowerCase()
  return findTypeFolder(name) ?? FOLDER_MODEL_TYPES.find((folder) => folder.toLowerCase() === spelling)
}

/** Return why the registry would refuse these files as one model. */
export function findFolderRefusal(files: readonly FolderFile[]): string | undefined {
  if (files.length > MAX_FOLDER_FILES) {
    return `A folder model may have ${MAX_FOLDER_FILES.toLocaleString('en')} files; this one has ${files.length.toLocaleString('en')}.`
  }
  const refused = files.find(({ path }) => !isAllowed(path))
  if (!refused) return undefined
  return `A folder model may not contain '${refused.path}': only weights, JSON, tokenizers, texts and pictures. Take it out of the folder.`
}

function isAllowed(path: string): boolean {
  const name = path.split('/').at(-1)?.toLowerCase() ?? ''
  const extension = getExtension(name)
  return extension
    ? EXTENSIONS.includes(extension) || FOLDER_EXTENSIONS.includes(extension)
    : FOLDER_NAMES.includes(name)
}
