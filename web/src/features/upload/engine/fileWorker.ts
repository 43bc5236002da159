// Web worker that inspects and hashes files with constant memory.

import { createSHA256 } from 'hash-wasm'
import type { HashRequest, WorkerRequest, WorkerResponse } from '@/features/upload/engine/hashFile'
import { inspectFile } from '@/features/upload/engine/inspect'
import { readChunks } from '@/features/upload/engine/readChunks'

const TELL_EVERY = 4 * 1024 * 1024
// How often a hash checkpoint is sent, so that a reload can continue from it.
const KEEP_EVERY = 256 * 1024 * 1024

const tell = (told: WorkerResponse) => postMessage(told)

addEventListener('message', async ({ data: ask }: MessageEvent<WorkerRequest>) => {
  try {
    if (ask.kind === 'examine') tell({ kind: 'examined', id: ask.id, examined: await inspectFile(ask.file) })
    else await hash(ask)
  } catch (error) {
    tell({ kind: 'failed', id: ask.id, message: error instanceof Error ? error.message : String(error) })
  }
})

async function hash({ id, file, from }: HashRequest): Promise<void> {
  const hasher = await createSHA256()
  if (from) hasher.load(from.state)
  const start = from?.done ?? 0
  let [done, told, kept] = [start, start, start]
  for await (const chunk of readChunks(file.slice(start))) {
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
