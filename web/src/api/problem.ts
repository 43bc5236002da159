// Errors of the registry (RFC 9457). The texts come from the registry and are shown to people.

import type { ProblemBody } from '@/api/types'
import type { ProblemCode } from '@/generated/problems'

export class Problem extends Error {
  readonly status: number
  /** A `ProblemCode` of the registry, or the code of a store or of the page. */
  private readonly code: string
  readonly title: string
  /** All fields of the body; each problem has its own facts. */
  readonly facts: Readonly<Record<string, unknown>>
  /** For 422: which field breaks which rule. */
  readonly fields: Readonly<Record<string, string>>

  constructor(body: ProblemBody) {
    super(body.detail)
    this.name = 'Problem'
    this.status = body.status
    this.code = body.error_code
    this.title = body.title
    this.facts = body as Record<string, unknown>
    this.fields = Object.fromEntries((body.errors ?? []).map((error) => [error.field, error.message]))
  }

  /** Return whether it is one of these problems of the registry. */
  is(...codes: ProblemCode[]): boolean {
    return codes.some((code) => code === this.code)
  }
}

/** Return a problem for a missing response, or one that is not from the registry, such as a proxy's error page. */
export function unreachable(status = 0): Problem {
  return new Problem({
    type: '/problems/unreachable',
    title: 'The registry is not responding',
    status,
    detail: 'The registry is not responding. Check the connection. What you typed is kept.',
    error_message: '',
    error_code: 'unreachable',
    request_id: null,
    errors: null,
  })
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : unreachable()
}
