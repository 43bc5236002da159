// Reads a file in chunks, with constant memory.

const CHUNK_BYTES = 1024 * 1024

/** Yield chunks; a chunk is valid until the next one is requested. */
export async function* readChunks(bytes: Blob): AsyncGenerator<Uint8Array> {
  const reader = getByobReader(bytes)
  if (reader) yield* readThroughTwoBuffers(reader)
  else
    for (let at = 0; at < bytes.size; at += CHUNK_BYTES)
      yield new Uint8Array(await bytes.slice(at, at + CHUNK_BYTES).arrayBuffer())
}

/** Return a BYOB reader, or undefined if the browser does not support one for files. */
function getByobReader(bytes: Blob): ReadableStreamBYOBReader | undefined {
  try {
    return bytes.stream().getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}

/** Fill one buffer while the other is used. New buffers would use hundreds of megabytes until they are collected. */
async function* readThroughTwoBuffers(reader: ReadableStreamBYOBReader): AsyncGenerator<Uint8Array> {
  let spare = new Uint8Array(CHUNK_BYTES)
  let filling = reader.read(new Uint8Array(CHUNK_BYTES))
  for (;;) {
    const { done, value } = await filling
    if (done || !value) return
    filling = reader.read(spare)
    yield value
    spare = new Uint8Array(value.buffer)
  }
}
