// One collection: its models at their versions, and its versions.

import { Alert, Button, Group, Stack, Text } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import type { Collection, CollectionVersion } from '@/api/types'
import { Ago } from '@/components/Ago'
import { formatBytes, formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { AnchorLink, ButtonLink } from '@/components/links'
import { Panel } from '@/components/Panel'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { AddModel } from '@/features/collections/AddModel'
import { CollectionActions } from '@/features/collections/CollectionActions'
import { CollectionModels } from '@/features/collections/CollectionModels'
import { CreatorName } from '@/features/collections/Collections'
import { CollectionVersions } from '@/features/collections/CollectionVersions'
import { describeLeftOut, listEntries, listOutdated, mergeEntries } from '@/features/collections/entries'
import { changeModels } from '@/features/collections/mutations'
import { useCollection, useCollectionVersion } from '@/features/collections/queries'
import { Rollouts } from '@/features/collections/rollouts/Rollouts'
import { Subscriptions } from '@/features/collections/subscriptions/Subscriptions'
import { useChange } from '@/features/collections/useChange'
import { useCollectionRights } from '@/features/collections/useCollectionRights'

const route = getRouteApi('/inside/collections/$id')

export function CollectionPage() {
  const { id } = route.useParams()
  const { version } = route.useSearch()
  const { data, error, refetch } = useCollection(id)
  const onRetry = () => void refetch()
  if (error && 'status' in error && error.status === 404) {
    return (
      <>
        <Heading title="Collection" />
        <Empty title="Collection not found">It was deleted, or it belongs to another team.</Empty>
      </>
    )
  }
  if (!data) return error ? <LoadError error={error} onRetry={onRetry} /> : <Loading label="Loading the collection" />
  return (
    <>
      <AnchorLink to="/collections" size="sm">
        All collections
      </AnchorLink>
      <Heading title={data.name}>
        <CollectionActions collection={data} />
      </Heading>
      {error && <StaleDataNotice error={error} onRetry={onRetry} />}
      <Stack gap="lg">
        <Summary collection={data} />
        {version !== undefined && version !== data.version ? (
          <OlderVersion collection={data} version={version} />
        ) : (
          <NewestVersion collection={data} />
        )}
        <Subscriptions collection={data} />
        <Rollouts collection={data} />
        <CollectionVersions collection={data} shown={version ?? data.version} />
      </Stack>
    </>
  )
}

function Summary({ collection }: { collection: Collection }) {
  const { note, version, model_list, created_by, created_at } = collection
  return (
    <div>
      {note && (
        <Text mb={4} style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
          <bdi>{note}</bdi>
        </Text>
      )}
      <Text size="sm" c="dimmed" component="div">
        Version {version} · {formatCount(model_list.length, 'model')} · {formatBytes(sumBytes(model_list))} · created by{' '}
        <CreatorName creator={created_by} />, <Ago time={created_at} />
      </Text>
    </div>
  )
}

function sumBytes(models: Collection['model_list']): number {
  return models.reduce((sum, { file_size }) => sum + file_size, 0)
}

function NewestVersion({ collection }: { collection: Collection }) {
  const mayEdit = useCollectionRights().mayChangeModels(collection)
  const { model_list: models } = collection
  const leftOut = describeLeftOut(models)
  return (
    <Panel title="Models" actions={mayEdit && <UseCurrentVersions collection={collection} />}>
      {leftOut && mayEdit && (
        <Text size="sm" c="dimmed">
          In the next version, {leftOut}
        </Text>
      )}
      {mayEdit && <AddModel collection={collection} />}
      {models.length === 0 ? (
        <Text size="sm" c="dimmed">
          This version has no models.
        </Text>
      ) : (
        <CollectionModels models={models} collection={mayEdit ? collection : undefined} />
      )}
    </Panel>
  )
}

/** Takes all models at the versions that they have now. */
function UseCurrentVersions({ collection }: { collection: Collection }) {
  const [isBusy, run] = useChange()
  const outdated = listOutdated(collection.model_list)
  if (outdated.length === 0) return null
  const onClick = () =>
    run(() =>
      changeModels(collection, {
        models: mergeEntries(
          listEntries(collection.model_list),
          outdated.map(({ model_id }) => ({ model_id })),
        ),
        message: `“${collection.name}” has the current version of ${formatCount(outdated.length, 'model')} now.`,
      }),
    )
  return (
    <Button size="compact-sm" variant="default" loading={isBusy} onClick={onClick}>
      Use current versions ({outdated.length})
    </Button>
  )
}

function OlderVersion({ collection, version }: { collection: Collection; version: number }) {
  const { id } = collection
  const { data, error, refetch } = useCollectionVersion(id, version)
  if (!data) {
    return error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the version" />
  }
  return (
    <>
      <OlderVersionNotice collection={collection} version={data} />
      <Panel title={`Models of version ${version}`}>
        {data.model_list.length === 0 ? (
          <Text size="sm" c="dimmed">
            This version has no models.
          </Text>
        ) : (
          <CollectionModels models={data.model_list} />
        )}
      </Panel>
    </>
  )
}

function OlderVersionNotice({ collection, version }: { collection: Collection; version: CollectionVersion }) {
  const navigate = route.useNavigate()
  const [isBusy, run] = useChange()
  const mayEdit = useCollectionRights().mayChangeModels(collection)
  const leftOut = describeLeftOut(version.model_list)
  const onRestore = () =>
    run(async () => {
      const isSaved = await changeModels(collection, {
        models: listEntries(version.model_list),
        message: `“${collection.name}” has the models of version ${version.version} again.`,
        note: `The models of version ${version.version} again.`,
      })
      if (isSaved) await navigate({ search: {} })
    })
  return (
    <Alert color="yellow" title={`Version ${version.version} is shown`}>
      <Text size="sm">
        The newest version is {collection.version}.
        {mayEdit && leftOut && ` In a version made from this one, ${leftOut}`}
      </Text>
      <Group gap="xs" mt="xs">
        <ButtonLink
          to="/collections/$id"
          params={{ id: collection.id }}
          search={{}}
          size="compact-sm"
          variant="default"
        >
          Show the newest version
        </ButtonLink>
        {mayEdit && (
          <Button size="compact-sm" variant="default" loading={isBusy} onClick={onRestore}>
            Make this the newest again
          </Button>
        )}
      </Group>
    </Alert>
  )
}
