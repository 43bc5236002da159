// The dialog that adds a model from a link, loaded when it is first opened.

import { lazy, type ReactNode, Suspense, useState } from 'react'
import type { Model } from '@/api/types'

const AddFromLink = lazy(() =>
  import('@/features/imports/AddFromLink').then(({ AddFromLink }) => ({ default: AddFromLink })),
)

/** What is to be imported. */
export interface NeededModel {
  url: string
  /** The path that a workflow loads, if it names a folder. */
  path?: string
  /** The model whose next version it becomes. */
  replaces?: Model
}

interface ImportDialog {
  /** Opens the dialog and looks the address up. */
  addFromLink: (needed: NeededModel) => void
  dialog: ReactNode
}

export function useImportDialog(): ImportDialog {
  const [needed, setNeeded] = useState<NeededModel>()
  const [isOpen, setOpen] = useState(false)
  const addFromLink = (model: NeededModel) => {
    setNeeded(model)
    setOpen(true)
  }
  const dialog = needed && (
    <Suspense>
      <AddFromLink
        link={needed.url}
        isLookedUp
        {...(needed.path && { neededPath: needed.path })}
        {...(needed.replaces && { replaces: needed.replaces })}
        isOpen={isOpen}
        onClose={() => setOpen(false)}
      />
    </Suspense>
  )
  return { addFromLink, dialog }
}
