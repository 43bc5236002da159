// The store of drafts and uploads. It is small, because the header of every view imports it.

import { useSyncExternalStore } from 'react'
import type { IgnoredField, Model, ModelVersion } from '@/api/types'

/**
 * The stage of a file.
 *
 *     reading → draft → waiting → working → verifying → done
 *                                    ↕
 *                    paused · failed · conflict
 */
type Stage = 'reading' | 'draft' | 'waiting' | 'working' | 'paused' | 'failed' | 'conflict' | 'verifying' | 'done'

/** The current step of a running upload. */
export type Activity = 'comparing' | 'sending' | 'reading on' | 'registering'

/** A file of a folder, with its path within it and its hash once it is known. */
export interface FolderFile {
  path: string
  file: File
  hash?: string | undefined
}

export interface Item {
  id: number
  file: File
  /** The path in the dropped folder. */
  relativePath: string
  /** The files of a folder that becomes one model; `file` is then all of them one after the other. */
  folder?: FolderFile[] | undefined
  /** Number of hidden and empty files that are not part of the folder model. */
  leftOut?: number | undefined
  /** Its preview picture, which is sent once the model is registered. */
  picture?: File | undefined
  /** Files beside it that declare its base model and trigger words, the preferred one first. */
  detailFiles?: File[] | undefined
  teamId: string
  userId: string
  stage: Stage
  /** Where the file becomes a model; once it is one, where that is. */
  path: string
  /** Why the registry would refuse these bytes under any name. */
  refusal?: string | undefined
  /** The model that has this path; null if there is none, undefined until it is looked up. */
  existing?: Model | null | undefined
  /** A type that is not known, which the person has confirmed. */
  acceptedType?: string | undefined
  /** A free path nearby, which the registry suggests when it knows the file's hash. */
  freePath?: string | undefined
  /** The newest version of the existing model when it was looked up. */
  newest?: NewestVersion | undefined
  /** The id of the model of which this file becomes the next version. */
  replaces?: string | undefined
  /** The newest version that the person has seen, which the next one must follow. */
  expectedVersion?: number | undefined
  /** What is new in the next version. */
  versionNote?: string | undefined
  /** In a conflict: a newer version than the expected one was uploaded. */
  isOvertaken?: boolean | undefined
  fingerprint: string
  hash?: string | undefined
  /** An upload of this file was started before. */
  isBegun?: boolean | undefined
  /** Bytes that the registry holds, and bytes that were hashed. */
  sent: number
  hashed: number
  /** Bytes a second of the current step. */
  rate: number
  activity?: Activity | undefined
  /** The storage key of the completely stored file, which only has to be registered. */
  storedKey?: string | undefined
  /** Of a folder that is completely stored: its manifest's size, and the storage key of each file. */
  storedFolder?: StoredFolder | undefined
  /** What the upload waits for, as text. */
  note: string
  problem?: { title: string; message: string } | undefined
  modelId?: string | undefined
  /** What of the registration was not applied, because the model keeps what it has. */
  ignored?: IgnoredField[] | undefined
  outcome?: 'registered' | 'new version' | 'repaired' | 'here already' | undefined
  /** The version of the model that has this content, and whether another one became current before it. */
  version?: number | undefined
  isSuperseded?: boolean | undefined
}

export interface StoredFolder {
  manifestSize: number
  fileList: { path: string; storage_key: string }[]
}

export interface NewestVersion
  extends Pick<
    ModelVersion,
    | 'version'
    | 'version_status'
    | 'file_hash'
    | 'file_size'
    | 'total_size'
    | 'verification'
    | 'created_by'
    | 'created_at'
  > {
  /** The number that the next version gets. */
  next: number
}

type Change = Partial<Omit<Item, 'id' | 'file'>>

let items: readonly Item[] = []
let last = 0
let isNotifying = false
const listeners = new Set<() => void>()

export function allItems(): readonly Item[] {
  return items
}

export function findItem(id: number): Item | undefined {
  return items.find((one) => one.id === id)
}

export function addItem(news: Omit<Item, 'id'>): Item {
  last += 1
  const one = { ...news, id: last }
  setItems([...items, one])
  return one
}

export function updateItem(id: number, changed: Change): void {
  setItems(items.map((one) => (one.id === id ? { ...one, ...changed } : one)))
}

export function removeItems(ids: readonly number[]): void {
  setItems(items.filter((one) => !ids.includes(one.id)))
}

export function restoreItem(one: Item): void {
  setItems([...items.filter((other) => other.id !== one.id), one].sort((a, b) => a.id - b.id))
}

function onItems(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** All items, as a React hook. */
export function useUploadItems(): readonly Item[] {
  return useSyncExternalStore(onItems, allItems)
}

export function isActive({ stage }: Item): boolean {
  return stage === 'waiting' || stage === 'working'
}

/** Find the version of the model at the path that failed with the content of this file, so that an upload repairs it. */
export function findRepaired({ existing, newest, hash }: Item): Model | NewestVersion | undefined {
  if (hash === undefined) return undefined
  return [existing, newest].find((one) => one?.verification === 'failed' && one.file_hash === hash) ?? undefined
}

/** Replace the items; listeners are notified once for all changes of a task. */
function setItems(next: readonly Item[]): void {
  items = next
  if (isNotifying) return
  isNotifying = true
  queueMicrotask(() => {
    isNotifying = false
    for (const listener of listeners) listener()
  })
}
