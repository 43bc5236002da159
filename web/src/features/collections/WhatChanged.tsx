// What changed in a version of a collection since the one before it, shown in a dialog.

import { Button, Modal, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import type { Collection, CollectionChanges } from '@/api/types'
import { type Column, DataTable } from '@/components/DataTable'
import { formatBytes } from '@/components/format'
import { LoadError, Loading } from '@/components/placeholders'
import { useCollectionChanges } from '@/features/collections/queries'

interface Change {
  id: string
  what: string
  path: string
  version: string
  size: number
}

const COLUMNS: Column<Change>[] = [
  { title: 'Change', isShort: true, cell: ({ what }) => what },
  { title: 'Model', cell: ({ path }) => <bdi style={{ overflowWrap: 'anywhere' }}>{path}</bdi> },
  { title: 'Version', isShort: true, cell: ({ version }) => version },
  { title: 'Size', isShort: true, cell: ({ size }) => formatBytes(size) },
]

/** A button that shows what is new in a version; none for the first, of which all models are new. */
export function WhatChanged({ collection, version }: { collection: Collection; version: number }) {
  const [isOpen, dialog] = useDisclosure(false)
  if (version === 1) return null
  return (
    <>
      <Button
        size="compact-xs"
        variant="default"
        aria-label={`What changed in version ${version}`}
        onClick={dialog.open}
      >
        What changed
      </Button>
      <Modal
        opened={isOpen}
        onClose={dialog.close}
        size="lg"
        title={`What changed in version ${version} of “${collection.name}”`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <Changes id={collection.id} version={version} />
      </Modal>
    </>
  )
}

function Changes({ id, version }: { id: string; version: number }) {
  const { data, error, refetch } = useCollectionChanges(id, version)
  if (!data) {
    return error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the changes" />
  }
  const changes = listChanges(data)
  if (changes.length === 0) return <Text size="sm">It has the same models as version {version - 1}.</Text>
  return <DataTable label="Changes" columns={COLUMNS} rows={changes} keyOf={(change) => change.id} />
}

function listChanges({ added_list, removed_list, changed_list }: CollectionChanges): Change[] {
  const build = (what: string, model: CollectionChanges['added_list'][number], version = `v${model.version}`) => ({
    id: model.model_id,
    what,
    path: model.model_path,
    version,
    size: model.file_size,
  })
  return [
    ...added_list.map((model) => build('Added', model)),
    ...removed_list.map((model) => build('Removed', model)),
    ...changed_list.map((model) => build('Changed', model, `v${model.previous_version} to v${model.version}`)),
  ]
}
