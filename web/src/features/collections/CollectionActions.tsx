// Renames and deletes a collection.

import { Button } from '@mantine/core'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { Collection } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { formatCount } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { CollectionDialog } from '@/features/collections/CollectionDialog'
import { deleteCollection, updateCollection } from '@/features/collections/mutations'
import { refreshCollections } from '@/features/collections/queries'
import { useSubscriptions } from '@/features/collections/subscriptions/requests'
import { useChange } from '@/features/collections/useChange'
import { useCollectionRights } from '@/features/collections/useCollectionRights'

export function CollectionActions({ collection }: { collection: Collection }) {
  const { mayEdit, maySubscribe } = useCollectionRights()
  const { data: subscriptions = [] } = useSubscriptions(collection.id)
  const [opened, setOpened] = useState<'edit' | 'delete'>()
  if (!mayEdit(collection)) return null
  const { id, name, note } = collection
  const hasMachines = collection.is_pinned || subscriptions.length > 0
  const close = () => setOpened(undefined)
  return (
    <>
      <Button variant="default" leftSection={<IconPencil size={16} aria-hidden />} onClick={() => setOpened('edit')}>
        Edit
      </Button>
      {(maySubscribe || !hasMachines) && (
        <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} onClick={() => setOpened('delete')}>
          Delete
        </Button>
      )}
      <CollectionDialog
        title="Edit collection"
        verb="Save"
        start={{ name, note }}
        isOpen={opened === 'edit'}
        onClose={close}
        onSave={(fields) => updateCollection(id, fields)}
      />
      <DeleteDialog
        collection={collection}
        isSubscribed={subscriptions.length > 0}
        isOpen={opened === 'delete'}
        onClose={close}
      />
    </>
  )
}

interface DeleteDialogProps {
  collection: Collection
  isSubscribed: boolean
  isOpen: boolean
  onClose: () => void
}

function DeleteDialog({ collection: { id, name, version }, isSubscribed, isOpen, onClose }: DeleteDialogProps) {
  const navigate = useNavigate()
  const [isBusy, run] = useChange()
  const onConfirm = () =>
    run(async () => {
      try {
        await deleteCollection(id)
      } catch (error) {
        notifyError(error)
        return
      }
      await navigate({ to: '/collections' })
      await refreshCollections()
      notify(`“${name}” was deleted.`)
    })
  return (
    <Confirm
      title="Delete this collection?"
      verb="Delete collection"
      isOpen={isOpen}
      isBusy={isBusy}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      <bdi>“{name}”</bdi> is deleted with {version === 1 ? 'its version' : `its ${formatCount(version, 'version')}`}.
      This cannot be undone. Its models stay in the registry.
      {isSubscribed && ' Machines that are subscribed to it remove the models that nothing else gives them.'}
    </Confirm>
  )
}
