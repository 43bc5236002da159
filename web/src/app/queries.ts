// How answers of the registry are kept: for how long, and what is asked again when.

import { QueryClient } from '@tanstack/react-query'
import { asProblem } from '@/api/problem'

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
