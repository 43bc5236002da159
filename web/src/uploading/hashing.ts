// Asks workers to read files: one that examines what was dropped, and one for each file that is hashed.

import type { Examined } from '@/uploading/examining'

/** A hash half way: the state of hash-wasm after so many bytes. */
export interface Halfway {
  done: number
  state: Uint8Array
}

export interface HashAsk {
  kind: 'hash'
  id: number
  file: File
  from?: Halfway | undefined
}
export type Ask = HashAsk | { kind: 'examine'; id: number; file: File }
export type Tell =
  | { kind: 'examined'; id: number; examined: Examined }
  | { kind: 'hashed'; id: number; done: number; state?: Uint8Array }
  | { kind: 'digest'; id: number; hash: string }
  | { kind: 'failed'; id: number; message: string }

/** The file is gone, or not what it was when it was picked. */
export class FileUnreadable extends Error {}

function worker(): Worker {
  return new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'files' })
}

let examiner: Worker | undefined
let asked = 0
const waiting = new Map<number, (told: Tell) => void>()

/** @throws FileUnreadable */
export function examine(file: File): Promise<Examined> {
  if (!examiner) {
    examiner = worker()
    examiner.onmessage = ({ data }: MessageEvent<Tell>) => {
      waiting.get(data.id)?.(data)
      waiting.delete(data.id)
    }
    examiner.onerror = () => {
      examiner = undefined
      for (const [id, tell] of waiting) tell({ kind: 'failed', id, message: '' })
      waiting.clear()
    }
  }
  asked += 1
  const id = asked
  examiner.postMessage({ kind: 'examine', id, file } satisfies Ask)
  return new Promise((found, failed) => {
    waiting.set(id, (told) => {
      if (told.kind === 'examined') found(told.examined)
      else failed(new FileUnreadable())
    })
  })
}

/**
 * The file's hash as the registry writes it.
 *
 * @throws FileUnreadable
 * @throws DOMException named AbortError, if `signal` says so.
 */
export function sha256(
  file: File,
  signal: AbortSignal,
  onProgress: (done: number, state?: Uint8Array) => void,
  from?: Halfway,
): Promise<string> {
  const hasher = worker()
  const over = new Promise<string>((found, failed) => {
    hasher.onmessage = ({ data: told }: MessageEvent<Tell>) => {
      if (told.kind === 'hashed') onProgress(told.done, told.state)
      else if (told.kind === 'digest') found(told.hash)
      else failed(new FileUnreadable())
    }
    hasher.onerror = () => failed(new FileUnreadable())
    signal.addEventListener('abort', () => failed(signal.reason))
    if (signal.aborted) failed(signal.reason)
  })
  hasher.postMessage({ kind: 'hash', id: 0, file, from } satisfies Ask)
  return over.finally(() => hasher.terminate())
}
