// The models page: search, details, and changes to one or many models.

import { Text } from '@mantine/core'
import { IconArrowLeft, IconTrash, IconUpload } from '@tabler/icons-react'
import { lazy, Suspense, useCallback, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { Heading } from '@/components/Heading'
import { ButtonLink } from '@/components/links'
import { ModelList } from '@/features/models/ModelList'
import { buildQuery, useTotal } from '@/features/models/queries'
import { useChangeSearch, useModelSearch, useOpenModel } from '@/features/models/useModelSearch'

const Details = lazy(() => import('@/features/models/details/Details').then(({ Details }) => ({ default: Details })))

export function Models() {
  const search = useModelSearch()
  const open = useOpenModel()
  const go = useChangeSearch()
  const close = useCallback(() => go({ model: undefined }), [go])
  const onOpen = useCallback((model: Model) => go({ model: model.id }), [go])
  // Stays mounted after it was opened, so that closing is animated and the focus returns.
  const [wasOpen, setWasOpen] = useState(false)
  if (open && !wasOpen) setWasOpen(true)
  return (
    <>
      <Heading title={search.trash ? 'Trash' : 'Models'}>
        <Total />
        <HeadingLinks isTrash={search.trash ?? false} />
      </Heading>
      <ModelList onOpen={onOpen} />
      <Suspense>{wasOpen && <Details id={open} onClose={close} />}</Suspense>
    </>
  )
}

function Total() {
  const total = useTotal(buildQuery(useModelSearch()))
  // The width is fixed, so that the layout does not shift when the count arrives.
  return (
    <Text c="dimmed" role="status" miw={104} ta={{ base: 'left', sm: 'right' }}>
      {total &&
        `${total.count.toLocaleString('en')}${total.isAtLeast ? '+' : ''} ${total.count === 1 ? 'model' : 'models'}`}
    </Text>
  )
}

function HeadingLinks({ isTrash }: { isTrash: boolean }) {
  const { may } = usePermissions()
  if (isTrash) {
    return (
      <ButtonLink to="/models" variant="default" leftSection={<IconArrowLeft size={16} aria-hidden />}>
        To the models
      </ButtonLink>
    )
  }
  return (
    <>
      <ButtonLink
        to="/models"
        search={{ trash: true }}
        variant="default"
        leftSection={<IconTrash size={16} aria-hidden />}
      >
        Trash
      </ButtonLink>
      {may('models_upload') && (
        <ButtonLink to="/upload" leftSection={<IconUpload size={16} aria-hidden />}>
          Upload
        </ButtonLink>
      )}
    </>
  )
}
