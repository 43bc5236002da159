// Everything about one model, beside the list that it was opened from.

import { Drawer } from '@mantine/core'
import { useEffect, useState } from 'react'
import { Empty, Failed, Loading } from '@/parts/states'
import { isGone, useModel } from '@/views/models/asking'
import { Edit } from '@/views/models/details/Edit'
import { Record } from '@/views/models/details/Record'

export function Details({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  // What is closing still shows what it showed.
  const [shown, setShown] = useState(id)
  if (id && id !== shown) setShown(id)
  // Opened after it is there: what is there open from the start would not know to whom to give the focus back.
  const [isOpen, setOpen] = useState(false)
  useEffect(() => setOpen(id !== undefined), [id])
  return (
    <Drawer.Root opened={isOpen} onClose={onClose} position="right" size="lg">
      <Drawer.Overlay backgroundOpacity={0.35} />
      {shown && <Content key={shown} id={shown} onClose={onClose} />}
    </Drawer.Root>
  )
}

function Content({ id, onClose }: { id: string; onClose: () => void }) {
  const { data, error, refetch, isPlaceholderData } = useModel(id)
  const [isEdited, setEdited] = useState(false)
  const title = data?.model.display_name ?? (error ? 'Model' : 'Loading')
  return (
    <Drawer.Content>
      <Drawer.Header role="none" style={{ alignItems: 'flex-start' }}>
        <Drawer.Title fw={700} fz="lg" style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
          <bdi>{title}</bdi>
        </Drawer.Title>
        <Drawer.CloseButton aria-label="Close" />
      </Drawer.Header>
      <Drawer.Body>
        {error && isGone(error) ? (
          <Empty title="This model is not here">It was deleted, or the address is of another team.</Empty>
        ) : error && !data ? (
          <Failed error={error} again={() => void refetch()} />
        ) : !data ? (
          <Loading what="Loading the model" />
        ) : isEdited && !isPlaceholderData ? (
          <Edit start={data} onClose={() => setEdited(false)} />
        ) : (
          <Record read={data} isFresh={!isPlaceholderData} onEdit={() => setEdited(true)} onClose={onClose} />
        )}
      </Drawer.Body>
    </Drawer.Content>
  )
}
