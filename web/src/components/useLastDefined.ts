import { useState } from 'react'

/** Return the value, or the last one that was not undefined: a dialog keeps its content while it closes. */
export function useLastDefined<Value>(value: Value | undefined): Value | undefined {
  const [last, setLast] = useState(value)
  if (value !== undefined && value !== last) setLast(() => value)
  return value ?? last
}
