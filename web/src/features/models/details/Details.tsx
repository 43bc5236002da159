// Details of one model beside the list.

import { Drawer } from '@mantine/core'
import { useEffect, useState } from 'react'
import { Empty, LoadError, Loading } from '@/components/placeholders'
import { useLastDefined } from '@/components/useLastDefined'
import { DrawerDialogContext } from '@/features/models/details/drawerDialogs'
import { EditForm } from '@/features/models/details/EditForm'
import { ModelRecord } from '@/features/models/details/ModelRecord'
import { isNotFound, useModel } from '@/features/models/queries'

export function Details({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  const shown = useLastDefined(id)
  // Opened after mounting: a drawer that is mounted open cannot return the focus.
  const [isOpen, setOpen] = useState(false)
  useEffect(() => setOpen(id !== undefined), [id])
  const [hasDialog, setHasDialog] = useState(false)
  return (
    <Drawer.Root opened={isOpen} onClose={onClose} closeOnEscape={!hasDialog} position="right" size="lg">
      <Drawer.Overlay backgroundOpacity={0.35} />
      <DrawerDialogContext value={setHasDialog}>
        {shown && <Content key={shown} id={shown} onClose={onClose} />}
      </DrawerDialogContext>
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
        {error && isNotFound(error) ? (
          <Empty title="Model not found">It was deleted, or it belongs to another team.</Empty>
        ) : error && !data ? (
          <LoadError error={error} onRetry={() => void refetch()} />
        ) : !data ? (
          <Loading label="Loading the model" />
        ) : isEdited && !isPlaceholderData ? (
          <EditForm start={data} onClose={() => setEdited(false)} />
        ) : (
          <ModelRecord read={data} isFresh={!isPlaceholderData} onEdit={() => setEdited(true)} onClose={onClose} />
        )}
      </Drawer.Body>
    </Drawer.Content>
  )
}
