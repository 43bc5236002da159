// How answers of the registry are kept: for how long, for whom, and what is asked again when.

import { QueryClient } from '@tanstack/react-query'
import { asProblem } from '@/api/problem'
import { currentSession, onSession } from '@/api/session'
import { clearNotices } from '@/parts/Notices'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // A browser that is "offline" may still reach a registry on its own machine; one that is not reached says so.
      networkMode: 'always',
      // What was refused stays refused; a registry that is away may come back.
      retry: (failures, error) => failures < 2 && [0, 502, 503, 504].includes(asProblem(error).status),
    },
  },
})

let whose = ''

// Before anything is drawn anew: answers, and offers to undo, are those of one person in one team.
onSession(() => {
  const now = currentSession()
  const next = now.state === 'signed-in' ? `${now.me.id} ${now.team?.id}` : ''
  if (next === whose) return
  whose = next
  clearNotices()
  // An invitation is nobody's: it stays while it is being accepted.
  queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'invitation' })
})
