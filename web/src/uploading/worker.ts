// Reads files where it holds nobody up: what they are, and their SHA-256, in memory that stays flat.

import { createSHA256 } from 'hash-wasm'
import { examined } from '@/uploading/examining'
import type { Ask, HashAsk, Tell } from '@/uploading/hashing'
import { chunksOf } from '@/uploading/reading'

const TELL_EVERY = 4 * 1024 * 1024
// How often a hash half way is handed out, so that a reload need not begin anew.
const KEEP_EVERY = 256 * 1024 * 1024

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
  const start = from?.done ?? 0
  let [done, told, kept] = [start, start, start]
  for await (const chunk of chunksOf(file.slice(start))) {
    hasher.update(chunk)
    done += chunk.length
    if (done - kept >= KEEP_EVERY) {
      kept = done
      tell({ kind: 'hashed', id, done, state: hasher.save() })
    } else if (done - told >= TELL_EVERY) tell({ kind: 'hashed', id, done })
    if (done - told >= TELL_EVERY) told = done
  }
  if (done !== file.size) throw new Error('The file ended before its time.')
  tell({ kind: 'digest', id, hash: `sha256:${hasher.digest()}` })
}
