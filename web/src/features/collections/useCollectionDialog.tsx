// The dialog that adds models to a collection, loaded when it is first opened.

import { lazy, type ReactNode, Suspense, useState } from 'react'
import type { NewCollectionModel } from '@/api/types'

const AddToCollectionDialog = lazy(() =>
  import('@/features/collections/AddToCollectionDialog').then(({ AddToCollectionDialog }) => ({
    default: AddToCollectionDialog,
  })),
)

/** What the dialog shows besides the models. */
interface DialogDetails {
  /** The name that a new collection gets, unless the user changes it. */
  suggestedName?: string
  /** The names in a workflow for which the team has other content than the workflow declares. */
  otherContent?: string[]
}

interface CollectionDialog {
  /** Opens the dialog for some models. */
  addToCollection: (models: NewCollectionModel[], details?: DialogDetails) => void
  dialog: ReactNode
}

/** Return a function that opens the dialog for some models, and the dialog itself. */
export function useCollectionDialog(): CollectionDialog {
  const [added, setAdded] = useState<DialogDetails & { models: NewCollectionModel[] }>()
  const [isOpen, setOpen] = useState(false)
  const addToCollection = (models: NewCollectionModel[], details?: DialogDetails) => {
    setAdded({ models, ...details })
    setOpen(true)
  }
  const dialog = added && (
    <Suspense>
      <AddToCollectionDialog {...added} isOpen={isOpen} onClose={() => setOpen(false)} />
    </Suspense>
  )
  return { addToCollection, dialog }
}
