// Client of the file worker: one shared worker for inspection, and one for each file that is hashed.

import type { Inspection } from '@/features/upload/engine/inspect'

/** A hash checkpoint: the state of hash-wasm after `done` bytes. */
export interface HashCheckpoint {
  done: number
  state: Uint8Array
}

export interface HashRequest {
  kind: 'hash'
  id: number
  file: File
  from?: HashCheckpoint | undefined
}
export type WorkerRequest = HashRequest | { kind: 'examine'; id: number; file: File }
export type WorkerResponse =
  | { kind: 'examined'; id: number; examined: Inspection }
  | { kind: 'hashed'; id: number; done: number; state?: Uint8Array }
  | { kind: 'digest'; id: number; hash: string }
  | { kind: 'failed'; id: number; message: string }

/** The file is gone or has changed since it was selected. */
export class FileUnreadable extends Error {}

function startWorker(): Worker {
  return new Worker(new URL('./fileWorker.ts', import.meta.url), { type: 'module', name: 'files' })
}

let inspector: Worker | undefined
let lastId = 0
const waiting = new Map<number, (told: WorkerResponse) => void>()

/** @throws FileUnreadable */
export function inspectInWorker(file: File): Promise<Inspection> {
  if (!inspector) {
    inspector = startWorker()
    inspector.onmessage = ({ data }: MessageEvent<WorkerResponse>) => {
      waiting.get(data.id)?.(data)
      waiting.delete(data.id)
    }
    inspector.onerror = () => {
      inspector = undefined
      for (const [id, tell] of waiting) tell({ kind: 'failed', id, message: '' })
      waiting.clear()
    }
  }
  lastId += 1
  const id = lastId
  inspector.postMessage({ kind: 'examine', id, file } satisfies WorkerRequest)
  return new Promise((found, failed) => {
    waiting.set(id, (told) => {
      if (told.kind === 'examined') found(told.examined)
      else failed(new FileUnreadable())
    })
  })
}

/**
 * Compute the file's hash in the registry's format.
 *
 * @throws FileUnreadable
 * @throws DOMException named AbortError, if `signal` is aborted.
 */
export function hashFile(
  file: File,
  signal: AbortSignal,
  onProgress: (done: number, state?: Uint8Array) => void,
  from?: HashCheckpoint,
): Promise<string> {
  const hasher = startWorker()
  return hashWith(hasher, file, signal, onProgress, from).finally(() => hasher.terminate())
}

// Of the files of folders, which are not hashed again after a pause.
const hashOf = new WeakMap<File, string>()

export function forgetHashes(files: readonly File[]): void {
  for (const file of files) hashOf.delete(file)
}

/**
 * Compute the hashes of files one after the other, as `hashFile` does; `onProgress` gets the bytes of all.
 *
 * @throws FileUnreadable
 * @throws DOMException named AbortError, if `signal` is aborted.
 */
export async function hashFiles(
  files: readonly File[],
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<string[]> {
  const hasher = startWorker()
  const hashes: string[] = []
  let before = 0
  try {
    for (const file of files) {
      const hash = hashOf.get(file) ?? (await hashWith(hasher, file, signal, (done) => onProgress(before + done)))
      hashOf.set(file, hash)
      hashes.push(hash)
      before += file.size
      onProgress(before)
    }
  } finally {
    hasher.terminate()
  }
  return hashes
}

function hashWith(
  hasher: Worker,
  file: File,
  signal: AbortSignal,
  onProgress: (done: number, state?: Uint8Array) => void,
  from?: HashCheckpoint,
): Promise<string> {
  let stop = () => {}
  const over = new Promise<string>((found, failed) => {
    hasher.onmessage = ({ data: told }: MessageEvent<WorkerResponse>) => {
      if (told.kind === 'hashed') onProgress(told.done, told.state)
      else if (told.kind === 'digest') found(told.hash)
      else failed(new FileUnreadable())
    }
    hasher.onerror = () => failed(new FileUnreadable())
    stop = () => failed(signal.reason)
    signal.addEventListener('abort', stop)
    if (signal.aborted) failed(signal.reason)
  })
  hasher.postMessage({ kind: 'hash', id: 0, file, from } satisfies WorkerRequest)
  return over.finally(() => signal.removeEventListener('abort', stop))
}
