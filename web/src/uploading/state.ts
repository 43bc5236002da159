// The files that are uploaded or about to be, and who watches them. It is small, so that the frame of the page can show it.

import { useSyncExternalStore } from 'react'
import type { Model } from '@/api/types'

/**
 * How far a file is.
 *
 *     reading → draft → waiting → working → verifying → done
 *                                    ↕
 *                    paused · failed · conflict
 */
type Stage = 'reading' | 'draft' | 'waiting' | 'working' | 'paused' | 'failed' | 'conflict' | 'verifying' | 'done'

/** What a file that is worked on goes through just now. */
export type Activity = 'comparing' | 'sending' | 'reading on' | 'registering'

export interface Item {
  id: number
  file: File
  /** Its path in what was dropped. */
  around: string
  teamId: string
  userId: string
  stage: Stage
  path: string
  /** Why the registry would refuse these bytes under any name. */
  refusal?: string | undefined
  /** The model that stands where this one wants to; null for none, undefined until the registry was asked. */
  holder?: Model | null | undefined
  /** A path beside it that is free; known once the registry was asked with the file's hash. */
  freePath?: string | undefined
  /** The id of the model whose bytes these shall replace. */
  replaces?: string | undefined
  fingerprint: string
  hash?: string | undefined
  /** An upload of this very file was begun before. */
  isBegun?: boolean | undefined
  /** Bytes that the registry holds, and bytes that were hashed. */
  sent: number
  hashed: number
  /** Bytes a second, of what it does now. */
  rate: number
  activity?: Activity | undefined
  /** The storage key under which all bytes have arrived: from there on only the name is missing. */
  landed?: string | undefined
  /** What it waits for, in words. */
  note: string
  problem?: { title: string; message: string } | undefined
  modelId?: string | undefined
  outcome?: 'registered' | 'replaced' | 'here already' | undefined
}

type Change = Partial<Omit<Item, 'id' | 'file'>>

let items: readonly Item[] = []
let last = 0
let isTelling = false
const listeners = new Set<() => void>()

export function allItems(): readonly Item[] {
  return items
}

export function item(id: number): Item | undefined {
  return items.find((one) => one.id === id)
}

export function added(news: Omit<Item, 'id'>): Item {
  last += 1
  const one = { ...news, id: last }
  become([...items, one])
  return one
}

export function change(id: number, changed: Change): void {
  become(items.map((one) => (one.id === id ? { ...one, ...changed } : one)))
}

export function remove(ids: readonly number[]): void {
  become(items.filter((one) => !ids.includes(one.id)))
}

export function restore(one: Item): void {
  become([...items.filter((other) => other.id !== one.id), one].sort((a, b) => a.id - b.id))
}

function onItems(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** What is uploading, as React sees it. */
export function useItems(): readonly Item[] {
  return useSyncExternalStore(onItems, allItems)
}

export function isGoing({ stage }: Item): boolean {
  return stage === 'waiting' || stage === 'working'
}

/** Many changes in a row are told once. */
function become(next: readonly Item[]): void {
  items = next
  if (isTelling) return
  isTelling = true
  queueMicrotask(() => {
    isTelling = false
    for (const listener of listeners) listener()
  })
}
