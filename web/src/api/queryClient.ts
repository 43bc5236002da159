// The query cache: how long responses are kept and which requests are retried.

import { QueryClient } from '@tanstack/react-query'
import { mayPass } from '@/api/problem'
import { onIdentityChange } from '@/api/session'

export const MAX_RETRIES = 2

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // An "offline" browser may still reach a registry on the same machine; an unreachable registry shows an error.
      networkMode: 'always',
      // Retry only failures that may pass: an unreachable registry may come back.
      retry: (failures, error) => failures < MAX_RETRIES && mayPass(error),
    },
  },
})

// Cached responses belong to one person in one team. Invitations do not: they stay while they are being accepted.
onIdentityChange(() => queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'invitation' }))
