// What opens is loaded when it is first opened. It stays mounted afterwards, and opens only once it is mounted, so that
// it returns the focus to where it was.

import { useEffect, useState } from 'react'

/** Return whether the value was ever true. */
export function useWasTrue(value: boolean): boolean {
  const [was, setWas] = useState(value)
  if (value && !was) setWas(true)
  return was
}

/** Return the value, but false in the first render: what is open from the start would not return the focus. */
export function useOpenedOnceMounted(isOpen: boolean): boolean {
  const [isMounted, setMounted] = useState(false)
  useEffect(() => setMounted(true), [])
  return isMounted && isOpen
}
