// The corner in which things are said. It is loaded with the first of them: a page that opens has nothing to say yet.

import { lazy, Suspense, useSyncExternalStore } from 'react'

type Library = typeof import('@mantine/notifications')

let library: Promise<Library> | undefined
let onNeeded: () => void = () => {}

const Notifications = lazy(async () => ({ default: (await need()).Notifications }))

/** What shows notices; whoever asks for it has the corner shown. */
export function need(): Promise<Library> {
  library ??= import('@mantine/notifications')
  onNeeded()
  return library
}

export function Notices() {
  const isNeeded = useSyncExternalStore(
    (listener) => {
      onNeeded = listener
      return () => {
        onNeeded = () => {}
      }
    },
    () => library !== undefined,
  )
  return (
    isNeeded && (
      <Suspense>
        <Notifications position="bottom-right" />
      </Suspense>
    )
  )
}
