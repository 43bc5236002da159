// The registry's operations for people who are not signed in: with an invitation, or with the operator's link.

import createClient from 'openapi-fetch'
import { buildPath } from '@/api/paths'
import { unreachable } from '@/api/problem'
import type { paths } from '@/generated/schema'

export const publicApi = createClient<paths>({
  baseUrl: '',
  pathSerializer: buildPath,
  fetch: (request) =>
    fetch(request).catch(() => {
      throw unreachable()
    }),
})
