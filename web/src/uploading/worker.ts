// Reads files where it holds nobody up: what they are, and their SHA-256 in slices, so that memory stays flat.

import { createSHA256 } from 'hash-wasm'
import { examined } from '@/uploading/examining'
import type { Ask, HashAsk, Tell } from '@/uploading/hashing'

// The next slice is read while this one is hashed: two of them are all that is ever held.
const SLICE = 4 * 1024 * 1024
// How often a hash half way is handed out, so that a reload need not begin anew.
const KEEP_EVERY = 64 * SLICE

const tell = (told: Tell) => postMessage(told)

addEventListener('message', async ({ data: ask }: MessageEvent<Ask>) => {
  try {
    if (ask.kind === 'examine') tell({ kind: 'examined', id: ask.id, examined: await examined(ask.file) })
    else await hash(ask)
  } catch (error) {
    tell({ kind: 'failed', id: ask.id, message: error instanceof Error ? error.message : String(error) })
  }
})

async function hash({ id, file, from }: HashAsk): Promise<void> {
  const hasher = await createSHA256()
  if (from) hasher.load(from.state)
  let done = from?.done ?? 0
  let next = read(file, done)
  while (done < file.size) {
    const slice = await next
    next = read(file, done + slice.length)
    hasher.update(slice)
    done += slice.length
    const isKept = done % KEEP_EVERY === 0 && done < file.size
    tell({ kind: 'hashed', id, done, ...(isKept && { state: hasher.save() }) })
  }
  tell({ kind: 'digest', id, hash: `sha256:${hasher.digest()}` })
}

async function read(file: File, start: number): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(start, start + SLICE).arrayBuffer())
}
