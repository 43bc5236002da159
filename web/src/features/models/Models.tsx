// The models page: gallery or table, details beside it, and changes to one or many models.

import { VisuallyHidden } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { lazy, Suspense, useCallback, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { ModelList } from '@/features/models/list/ModelList'
import { useChangeSearch, useModelSearch, useOpenModel } from '@/features/models/useModelSearch'

const DropToUpload = lazy(() =>
  import('@/features/upload/DropToUpload').then(({ DropToUpload }) => ({ default: DropToUpload })),
)
const Details = lazy(() => import('@/features/models/details/Details').then(({ Details }) => ({ default: Details })))

export function Models() {
  const search = useModelSearch()
  const open = useOpenModel()
  const { may } = usePermissions()
  const go = useChangeSearch()
  const close = useCallback(() => go({ model: undefined }), [go])
  const onOpen = useCallback((model: Model) => go({ model: model.id }), [go])
  // Stays mounted after it was opened, so that closing is animated and the focus returns.
  const [wasOpen, setWasOpen] = useState(false)
  if (open && !wasOpen) setWasOpen(true)
  const title = search.trash ? 'Trash' : 'Models'
  useDocumentTitle(`${title} · Modelyard`)
  return (
    <>
      <VisuallyHidden component="h1">{title}</VisuallyHidden>
      <ModelList onOpen={onOpen} />
      {/* Not over the details: the view of uploads would take the place of what is being edited. */}
      <Suspense>{may('models_upload') && !search.trash && !open && <DropToUpload />}</Suspense>
      <Suspense>{wasOpen && <Details id={open} onClose={close} />}</Suspense>
    </>
  )
}
