// The corner in which things are said. It comes after the first view, which has nothing to say yet.

import { useSyncExternalStore } from 'react'

type Library = typeof import('@mantine/notifications')

const listeners = new Set<() => void>()
let coming: Promise<Library> | undefined
let loaded: Library | undefined

/** What shows notices. If it does not come now (the registry is away, say), whoever asks next tries again. */
export function need(): Promise<Library> {
  coming ??= import('@mantine/notifications').then(
    (library) => {
      loaded = library
      for (const listener of listeners) listener()
      return library
    },
    (error) => {
      coming = undefined
      throw error
    },
  )
  return coming
}

/** Take away what was said to somebody else, or of another team. */
export function clearNotices(): void {
  loaded?.notifications.clean()
}

export function Notices() {
  const Corner = useSyncExternalStore(onLoaded, () => loaded?.Notifications)
  return Corner && <Corner position="bottom-right" />
}

function onLoaded(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
