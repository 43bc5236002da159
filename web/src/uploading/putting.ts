// One PUT of a slice of a file to a signed address. The browser reads the file itself: no byte of it comes into a script.

import { Problem, unreachable } from '@/api/problem'
import { isProblem } from '@/api/session'
import type { Signed } from '@/uploading/asking'

export interface Put {
  isStored: boolean
  status: number
  etag: string | null
  problem: Problem | undefined
}

/**
 * Sends the bytes once; status 0 is a network that failed.
 *
 * @throws DOMException named AbortError, if `signal` says so.
 */
export function put(
  { url, headers }: Signed,
  bytes: Blob,
  signal: AbortSignal,
  onProgress: (sent: number) => void,
): Promise<Put> {
  // Not fetch, which tells nothing of how far it is.
  const request = new XMLHttpRequest()
  request.open('PUT', url)
  for (const [name, value] of Object.entries(headers)) {
    // That one is the browser's to say.
    if (name.toLowerCase() !== 'content-length') request.setRequestHeader(name, value)
  }
  request.upload.onprogress = ({ loaded }) => onProgress(loaded)
  const stop = () => request.abort()
  return new Promise<Put>((over, failed) => {
    request.onload = () => over(outcome(request))
    request.onerror = () => over({ isStored: false, status: 0, etag: null, problem: undefined })
    request.onabort = () => failed(signal.reason)
    if (signal.aborted) return failed(signal.reason)
    signal.addEventListener('abort', stop)
    request.send(bytes)
  }).finally(() => signal.removeEventListener('abort', stop))
}

function outcome(request: XMLHttpRequest): Put {
  const { status } = request
  if (status < 300) return { isStored: true, status, etag: request.getResponseHeader('ETag'), problem: undefined }
  return { isStored: false, status, etag: null, problem: refused(request.responseText, status) }
}

/** Our store answers a problem; S3 answers XML. */
function refused(body: string, status: number): Problem {
  try {
    const said: unknown = JSON.parse(body)
    if (isProblem(said)) return new Problem(said)
  } catch {
    // XML, or a proxy's page.
  }
  const says = /<Message>([^<]{1,300})/.exec(body)?.[1]
  return new Problem({
    ...(unreachable(status).facts as ConstructorParameters<typeof Problem>[0]),
    title: 'The store refused the bytes',
    detail: says ? `It says: ${says}` : `It answered ${status}.`,
    error_code: /<Code>([A-Za-z0-9]{1,60})/.exec(body)?.[1] ?? 'store_refused',
  })
}
