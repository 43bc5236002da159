// Paths of API requests. Names and ids become one segment each.

import { defaultPathSerializer } from 'openapi-fetch'
import { Problem } from '@/api/problem'

const NO_SEGMENTS = ['', '.', '..']

/**
 * Return the path of a request with its parameters, percent-encoded.
 *
 * @throws Problem a parameter is empty, `.` or `..`: a browser would request another path.
 */
export function buildPath(template: string, parameters: Record<string, unknown>): string {
  for (const value of Object.values(parameters)) if (NO_SEGMENTS.includes(String(value))) throw unusable(String(value))
  return defaultPathSerializer(template, parameters)
}

function unusable(name: string): Problem {
  return new Problem({
    type: '/problems/invalid-request',
    title: 'This name cannot be used',
    status: 422,
    detail: `'${name}' cannot be used as a name or id in a request to the registry.`,
    error_message: '',
    error_code: 'invalid_request',
    request_id: null,
    errors: null,
  })
}
