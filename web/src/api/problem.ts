// Errors of the registry (RFC 9457). The texts come from the registry and are shown to people.

import type { ProblemBody } from '@/api/types'
import type { ProblemCode } from '@/generated/problems'

const UNREACHABLE = 'unreachable'
/** 0: no answer at all; the others may also be answers of a proxy. */
const NO_ANSWER = [0, 502, 503, 504]

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

  get isUnreachable(): boolean {
    return this.code === UNREACHABLE && NO_ANSWER.includes(this.status)
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
    title: 'The registry does not answer',
    status,
    detail: 'The registry does not answer. Check the connection. What you typed is kept.',
    error_message: '',
    error_code: UNREACHABLE,
    request_id: null,
    errors: null,
  })
}

/** Return whether there was no answer, or one of a proxy that did not reach the registry. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof Problem && error.isUnreachable
}

/** Return whether the same request may succeed later: the registry, or what it depends on, may come back. */
export function mayPass(error: unknown): boolean {
  return NO_ANSWER.includes(asProblem(error).status)
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : unreachable()
}
