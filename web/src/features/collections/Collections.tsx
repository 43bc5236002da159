// The collections of the team: named lists of models at versions.

import { Button, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { usePermissions } from '@/api/permissions'
import type { CollectionSummary } from '@/api/types'
import { Ago } from '@/components/Ago'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { AnchorLink } from '@/components/links'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { CollectionDialog } from '@/features/collections/CollectionDialog'
import classes from '@/features/collections/collections.module.css'
import { createCollection } from '@/features/collections/mutations'
import { useCollections } from '@/features/collections/queries'

const COLUMNS: Column<CollectionSummary>[] = [
  {
    title: 'Name',
    cell: ({ id, name }) => (
      <AnchorLink to="/collections/$id" params={{ id }} size="sm" fw={500}>
        <bdi>{name}</bdi>
      </AnchorLink>
    ),
  },
  { title: 'Models', isShort: true, cell: ({ model_count }) => model_count.toLocaleString('en') },
  { title: 'Version', isShort: true, cell: ({ version }) => version },
  { title: 'Changed', isShort: true, cell: ({ updated_at }) => <Ago time={updated_at} /> },
  { title: 'Created by', cell: ({ created_by }) => <CreatorName creator={created_by} /> },
  {
    title: 'Note',
    cell: ({ note }) => (note ? <bdi className={classes.note}>{note}</bdi> : <span aria-hidden>–</span>),
  },
]

export function Collections() {
  const { may } = usePermissions()
  const [isCreating, dialog] = useDisclosure(false)
  const navigate = useNavigate()
  return (
    <>
      <Heading title="Collections">
        {may('collections_edit') && (
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
            New collection
          </Button>
        )}
      </Heading>
      <Content />
      <CollectionDialog
        title="New collection"
        verb="Create"
        isOpen={isCreating}
        onClose={dialog.close}
        onSave={async ({ name, note }) => {
          const id = await createCollection({ name, note, model_list: [] })
          await navigate({ to: '/collections/$id', params: { id } })
        }}
      />
    </>
  )
}

function Content() {
  const { may } = usePermissions()
  const { data, error, refetch } = useCollections()
  const onRetry = () => void refetch()
  if (!data) return error ? <LoadError error={error} onRetry={onRetry} /> : <Loading label="Loading the collections" />
  if (data.length === 0) {
    return (
      <Empty title="No collections yet">
        A collection is a named list of models, each at one version: the models of a project, of a client, of a
        workflow. Each change makes the next version, and older ones stay.
        {may('collections_edit') &&
          ' Create one here, select models in the list of models, or save the models of a checked workflow.'}
      </Empty>
    )
  }
  return (
    <>
      {error && <StaleDataNotice error={error} onRetry={onRetry} />}
      <Text size="sm" c="dimmed" mb="xs" role="status">
        {formatCount(data.length, 'collection')}
      </Text>
      <FirstRows rows={data}>
        {(shown) => (
          <div className={classes.list}>
            <DataTable label="Collections" columns={COLUMNS} rows={shown} keyOf={({ id }) => id} />
          </div>
        )}
      </FirstRows>
    </>
  )
}

export function CreatorName({ creator }: { creator: CollectionSummary['created_by'] }) {
  return (
    <>
      <bdi>{creator.display_name}</bdi>
      {creator.kind === 'integration' && ' (a key)'}
    </>
  )
}
