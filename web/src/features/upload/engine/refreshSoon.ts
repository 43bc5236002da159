// Refreshes what the page shows after uploads.

import { queryClient } from '@/api/queryClient'

const PAUSE_MILLISECONDS = 500
let isPlanned = false

/** Refresh all queries, once for all files that end within half a second. */
export function refreshSoon(): void {
  if (isPlanned) return
  isPlanned = true
  setTimeout(() => {
    isPlanned = false
    void queryClient.invalidateQueries()
  }, PAUSE_MILLISECONDS)
}
