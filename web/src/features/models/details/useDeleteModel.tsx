// Deletes a model, with undo; asks first if collections have it.

import { type ReactNode, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { CollectionOfModel, Model } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { notifyError } from '@/components/notify'
import { readCollectionsOfModel } from '@/features/collections/queries'
import { describeOldVersions } from '@/features/collections/uses'
import { useDrawerDialog } from '@/features/models/details/drawerDialogs'
import { deleteWithUndo } from '@/features/models/trash'

const MAX_NAMED = 5

const list = new Intl.ListFormat('en-GB')

/** Return a function that deletes the model, and its dialog. */
export function useDeleteModel(model: Model, onDeleted?: () => void): { remove: () => void; dialog: ReactNode } {
  const { may } = usePermissions()
  const [uses, setUses] = useState<CollectionOfModel[]>([])
  const [isOpen, setOpen] = useState(false)
  const [isBusy, setBusy] = useState(false)
  useDrawerDialog(isOpen)
  const deleteNow = async (force: boolean) => {
    setBusy(true)
    await deleteWithUndo(model, force).then(onDeleted, notifyError)
    setBusy(false)
    setOpen(false)
  }
  const ask = async () => {
    const used = may('collections_read') ? await readCollectionsOfModel(model.id) : []
    if (used.length === 0) return deleteNow(false)
    setUses(used)
    setOpen(true)
  }
  const dialog = (
    <Confirm
      title={`Delete “${model.display_name}”?`}
      verb="Delete model"
      isOpen={isOpen}
      isBusy={isBusy}
      onConfirm={() => void deleteNow(uses.some((use) => use.is_pinned))}
      onClose={() => setOpen(false)}
    >
      <Uses uses={uses} />
      Until the trash is emptied, the model can be restored.
    </Confirm>
  )
  return { remove: () => void ask().catch(notifyError), dialog }
}

function Uses({ uses }: { uses: CollectionOfModel[] }) {
  const newest = uses.filter(({ version_list }) => version_list[0]?.is_newest)
  const older = uses.filter(({ version_list }) => version_list.some(({ is_newest }) => !is_newest))
  return (
    <>
      {newest.length > 0 && (
        <>
          It is in {newest.length === 1 ? 'the collection' : 'the collections'} <bdi>{formatNames(newest)}</bdi>.{' '}
          {newest.length === 1 ? 'Its next version is' : 'Their next versions are'} made without it.{' '}
        </>
      )}
      {older.length > 0 && (
        <>
          Subscribed machines get an older version that has it:{' '}
          <bdi>{formatNames(older, (use) => `“${use.name}” (${describeOldVersions(use)})`)}</bdi>.{' '}
        </>
      )}
      {uses.some(({ version_list }) => version_list.some(({ is_on_machines }) => is_on_machines)) && (
        <>Subscribed machines lose the model. </>
      )}
    </>
  )
}

function formatNames(uses: CollectionOfModel[], describe = ({ name }: CollectionOfModel) => `“${name}”`): string {
  const shown = uses.slice(0, MAX_NAMED).map(describe)
  const more = uses.length - shown.length
  return list.format(more > 0 ? [...shown, `${more.toLocaleString('en')} more`] : shown)
}
