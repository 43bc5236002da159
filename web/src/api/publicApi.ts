// The registry's operations for people who are not signed in: with an invitation, or with the operator's link.

import createClient from 'openapi-fetch'
import { unreachable } from '@/api/problem'
import type { paths } from '@/generated/schema'

export const publicApi = createClient<paths>({
  baseUrl: '',
  fetch: (request) =>
    fetch(request).catch(() => {
      throw unreachable()
    }),
})
