// Reading a file from its beginning to its end, in pieces of which only a few are ever held.

const PIECE = 1024 * 1024

/** A piece is whole until the next one is asked for. */
export async function* chunksOf(bytes: Blob): AsyncGenerator<Uint8Array> {
  const reader = intoBuffers(bytes)
  if (reader) yield* throughTwoBuffers(reader)
  else
    for (let at = 0; at < bytes.size; at += PIECE) yield new Uint8Array(await bytes.slice(at, at + PIECE).arrayBuffer())
}

/** Undefined in a browser whose files cannot be read into a buffer that is there already. */
function intoBuffers(bytes: Blob): ReadableStreamBYOBReader | undefined {
  try {
    return bytes.stream().getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}

/** One is filled while the other is used. New ones each time would be hundreds of megabytes until they are collected. */
async function* throughTwoBuffers(reader: ReadableStreamBYOBReader): AsyncGenerator<Uint8Array> {
  let spare = new Uint8Array(PIECE)
  let filling = reader.read(new Uint8Array(PIECE))
  for (;;) {
    const { done, value } = await filling
    if (done || !value) return
    filling = reader.read(spare)
    yield value
    spare = new Uint8Array(value.buffer)
  }
}
