// The dialog that sends models to machines, loaded when it is first opened.

import { lazy, type ReactNode, Suspense, useState } from 'react'
import type { Model } from '@/api/types'

const SendDialog = lazy(() =>
  import('@/features/models/places/SendDialog').then(({ SendDialog }) => ({ default: SendDialog })),
)

/** Return a function that opens the dialog for some models, and the dialog itself. */
export function useSendDialog(): { send: (models: Model[]) => void; dialog: ReactNode } {
  const [models, setModels] = useState<Model[]>()
  const [isOpen, setOpen] = useState(false)
  const send = (chosen: Model[]) => {
    setModels(chosen)
    setOpen(true)
  }
  const dialog = models && (
    <Suspense>
      <SendDialog models={models} isOpen={isOpen} onClose={() => setOpen(false)} />
    </Suspense>
  )
  return { send, dialog }
}
