// One PUT of a slice of a file to a presigned URL. The browser streams the file; no bytes pass through scripts.

import { Problem, unreachable } from '@/api/problem'
import { isProblemBody } from '@/api/session'
import type { SignedUrl } from '@/features/upload/engine/requests'

export interface PutResult {
  isStored: boolean
  status: number
  etag: string | null
  problem: Problem | undefined
}

/**
 * Send the bytes once; status 0 means that the network failed.
 *
 * @throws DOMException named AbortError, if `signal` is aborted.
 */
export function putPart(
  { url, headers }: SignedUrl,
  bytes: Blob,
  signal: AbortSignal,
  onProgress: (sent: number) => void,
): Promise<PutResult> {
  // XMLHttpRequest, because fetch reports no upload progress.
  const request = new XMLHttpRequest()
  request.open('PUT', url)
  for (const [name, value] of Object.entries(headers)) {
    // The browser sets this header itself.
    if (name.toLowerCase() !== 'content-length') request.setRequestHeader(name, value)
  }
  request.upload.onprogress = ({ loaded }) => onProgress(loaded)
  const stop = () => request.abort()
  return new Promise<PutResult>((over, failed) => {
    request.onload = () => over(readResult(request))
    request.onerror = () => over({ isStored: false, status: 0, etag: null, problem: undefined })
    request.onabort = () => failed(signal.reason)
    if (signal.aborted) return failed(signal.reason)
    signal.addEventListener('abort', stop)
    request.send(bytes)
  }).finally(() => signal.removeEventListener('abort', stop))
}

function readResult(request: XMLHttpRequest): PutResult {
  const { status } = request
  if (status < 300) return { isStored: true, status, etag: request.getResponseHeader('ETag'), problem: undefined }
  return { isStored: false, status, etag: null, problem: parseRefusal(request.responseText, status) }
}

/** Our store answers a problem; S3 answers XML. */
function parseRefusal(body: string, status: number): Problem {
  try {
    const said: unknown = JSON.parse(body)
    if (isProblemBody(said)) return new Problem(said)
  } catch {
    // XML, or a proxy's page.
  }
  const says = /<Message>([^<]{1,300})/.exec(body)?.[1]
  return new Problem({
    ...(unreachable(status).facts as ConstructorParameters<typeof Problem>[0]),
    title: 'The store refused the upload',
    detail: says ? `The store answered: ${says}` : `The store answered with status ${status}.`,
    error_code: /<Code>([A-Za-z0-9]{1,60})/.exec(body)?.[1] ?? 'store_refused',
  })
}
