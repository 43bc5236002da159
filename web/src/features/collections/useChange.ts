// One change of a collection at a time: a second one would expect a version that is no longer the newest.

import { useState } from 'react'

/** Return whether a change is running, and a function that runs one. */
export function useChange(): [isBusy: boolean, run: (change: () => Promise<unknown>) => void] {
  const [isBusy, setBusy] = useState(false)
  const run = (change: () => Promise<unknown>) => {
    if (isBusy) return
    setBusy(true)
    void change().finally(() => setBusy(false))
  }
  return [isBusy, run]
}
