// The versions of a collection, newest first; each can be shown.

import { Button, Center, Text } from '@mantine/core'
import type { Collection, CollectionVersionSummary } from '@/api/types'
import { Ago } from '@/components/Ago'
import { type Column, DataTable } from '@/components/DataTable'
import { AnchorLink } from '@/components/links'
import { Panel } from '@/components/Panel'
import { LoadError, Loading } from '@/components/placeholders'
import { CreatorName } from '@/features/collections/Collections'
import classes from '@/features/collections/collections.module.css'
import { useCollectionVersions } from '@/features/collections/queries'
import { WhatChanged } from '@/features/collections/WhatChanged'

interface CollectionVersionsProps {
  collection: Collection
  /** The version whose models are shown. */
  shown: number
}

export function CollectionVersions({ collection, shown }: CollectionVersionsProps) {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useCollectionVersions(collection.id)
  const versions = data?.pages.flatMap(({ version_list }) => version_list)
  return (
    <Panel title="Versions">
      {!versions &&
        (error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the versions" />)}
      {versions && (
        <div className={classes.versions}>
          <DataTable
            label="Versions"
            columns={buildColumns(collection, shown)}
            rows={versions}
            keyOf={({ version }) => String(version)}
          />
        </div>
      )}
      {hasNextPage && (
        <Center>
          <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            Show older versions
          </Button>
        </Center>
      )}
    </Panel>
  )
}

function buildColumns(collection: Collection, shown: number): Column<CollectionVersionSummary>[] {
  const { id, version: newest } = collection
  return [
    {
      title: 'Version',
      isShort: true,
      cell: ({ version }) => (
        <>
          <AnchorLink
            to="/collections/$id"
            params={{ id }}
            search={version === newest ? {} : { version }}
            size="sm"
            underline="always"
            fw={version === shown ? 600 : undefined}
            aria-label={`Version ${version}`}
            aria-current={version === shown ? 'true' : undefined}
          >
            v{version}
          </AnchorLink>
          <Text size="xs" c="dimmed" component="span" ml={6}>
            {[version === newest && 'newest', version === shown && 'shown'].filter(Boolean).join(', ')}
          </Text>
        </>
      ),
    },
    {
      title: 'Note',
      cell: ({ note }) => (note ? <bdi className={classes.note}>{note}</bdi> : <span aria-hidden>–</span>),
    },
    { title: 'Models', isShort: true, cell: ({ model_count }) => model_count.toLocaleString('en') },
    { title: 'Made by', cell: ({ created_by }) => <CreatorName creator={created_by} /> },
    { title: 'When', isShort: true, cell: ({ created_at }) => <Ago time={created_at} /> },
    {
      title: 'Changes',
      isShort: true,
      cell: ({ version }) => <WhatChanged collection={collection} version={version} />,
    },
  ]
}
