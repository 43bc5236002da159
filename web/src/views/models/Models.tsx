// The models of the team: found, looked at, and changed one by one or many at once.

import { Text } from '@mantine/core'
import { IconArrowLeft, IconTrash, IconUpload } from '@tabler/icons-react'
import { lazy, Suspense, useCallback, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { Heading } from '@/parts/Heading'
import { ButtonLink } from '@/parts/links'
import { askedFor, useTotal } from '@/views/models/asking'
import { Catalogue } from '@/views/models/Catalogue'
import { useGo, useModelSearch, useOpenModel } from '@/views/models/place'

const Details = lazy(() => import('@/views/models/details/Details').then(({ Details }) => ({ default: Details })))

export function Models() {
  const search = useModelSearch()
  const open = useOpenModel()
  const go = useGo()
  const close = useCallback(() => go({ model: undefined }), [go])
  const onOpen = useCallback((model: Model) => go({ model: model.id }), [go])
  // Once it was open it stays, so that it can be seen closing and gives the focus back.
  const [wasOpen, setWasOpen] = useState(false)
  if (open && !wasOpen) setWasOpen(true)
  return (
    <>
      <Heading title={search.trash ? 'Trash' : 'Models'}>
        <Total />
        <Ways isTrash={search.trash ?? false} />
      </Heading>
      <Catalogue onOpen={onOpen} />
      <Suspense>{wasOpen && <Details id={open} onClose={close} />}</Suspense>
    </>
  )
}

function Total() {
  const total = useTotal(askedFor(useModelSearch()))
  // Of a fixed width from the start, so that nothing moves when the answer comes.
  return (
    <Text c="dimmed" role="status" miw={104} ta={{ base: 'left', sm: 'right' }}>
      {total &&
        `${total.count.toLocaleString('en')}${total.isAtLeast ? '+' : ''} ${total.count === 1 ? 'model' : 'models'}`}
    </Text>
  )
}

function Ways({ isTrash }: { isTrash: boolean }) {
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
      {may('upload') && (
        <ButtonLink to="/upload" leftSection={<IconUpload size={16} aria-hidden />}>
          Upload
        </ButtonLink>
      )}
    </>
  )
}
