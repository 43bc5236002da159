// The area for notices. It is loaded after the first view, which does not need it.

import { useSyncExternalStore } from 'react'
import { onIdentityChange } from '@/api/session'

type Library = typeof import('@mantine/notifications')

const listeners = new Set<() => void>()
let loading: Promise<Library> | undefined
let loaded: Library | undefined

/** Load the notifications library; after a failure, the next call tries again. */
export function loadNotifications(): Promise<Library> {
  loading ??= import('@mantine/notifications').then(
    (library) => {
      loaded = library
      for (const listener of listeners) listener()
      return library
    },
    (error) => {
      loading = undefined
      throw error
    },
  )
  return loading
}

// Notices, and their offers to undo, belong to one person in one team.
onIdentityChange(() => loaded?.notifications.clean())

export function Notices() {
  const NoticeArea = useSyncExternalStore(onLoaded, () => loaded?.Notifications)
  return NoticeArea && <NoticeArea position="bottom-left" />
}

function onLoaded(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
