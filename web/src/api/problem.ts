// What the registry refuses, as one kind of error. Its words are the registry's own and meant for people.

import type { ProblemBody } from '@/api/types'

export class Problem extends Error {
  readonly status: number
  /** The stable name, such as `model_path_taken`. */
  readonly code: string
  readonly title: string
  /** Everything else that the body says; each problem has its own facts. */
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
}

/** No answer came at all, or one that is not the registry's (a proxy's error page, say). */
export function unreachable(status = 0): Problem {
  return new Problem({
    type: '/problems/unreachable',
    title: 'The registry does not answer',
    status,
    detail: 'The registry does not answer. Check the connection; what you typed is still here.',
    error_message: '',
    error_code: 'unreachable',
    request_id: null,
    errors: null,
  })
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : unreachable()
}
