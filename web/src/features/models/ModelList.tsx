// The list of models with its filters, as a table or grid, and its empty states.

import { Button, Center, Loader, Text } from '@mantine/core'
import { lazy, memo, Suspense, useEffect, useMemo, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model, ModelQuery } from '@/api/types'
import { Empty, LoadError, Loading } from '@/components/placeholders'
import { type BulkFailure, notifyFailures } from '@/features/models/bulk/actions'
import { Filters } from '@/features/models/Filters'
import { FirstSteps } from '@/features/models/FirstSteps'
import { ModelGrid } from '@/features/models/ModelGrid'
import { ModelTable } from '@/features/models/ModelTable'
import classes from '@/features/models/models.module.css'
import { buildQuery, flattenPages, useModels, useTotal } from '@/features/models/queries'
import { FILTERS, type ModelSearch } from '@/features/models/search'
import { useModelSearch, useOpenModel } from '@/features/models/useModelSearch'
import { useSelection } from '@/features/models/useSelection'

const BulkBar = lazy(() => import('@/features/models/bulk/BulkBar').then(({ BulkBar }) => ({ default: BulkBar })))
const Refusals = lazy(() =>
  import('@/features/models/bulk/FailuresDialog').then(({ FailuresDialog }) => ({ default: FailuresDialog })),
)

type ModelsQuery = ReturnType<typeof useModels>

export const ModelList = memo(function ModelList({ onOpen }: { onOpen: (model: Model) => void }) {
  // Kept here, because the list itself may be gone when failures of a bulk action are shown.
  const [refused, setRefused] = useState<BulkFailure>()
  const isMounted = useIsMounted()
  const onRefused = (what: BulkFailure) =>
    isMounted() ? setRefused(what) : notifyFailures(what.act.pastTense, what.refused)
  return (
    <>
      <FilteredList onOpen={onOpen} onRefused={onRefused} />
      <Suspense>{refused && <Refusals {...refused} onClose={() => setRefused(undefined)} />}</Suspense>
    </>
  )
})

/** Return a function that tells whether the view is still mounted, for actions that end later. */
function useIsMounted(): () => boolean {
  const isThere = useRef(false)
  useEffect(() => {
    isThere.current = true
    return () => {
      isThere.current = false
    }
  }, [])
  return () => isThere.current
}

interface ListProps {
  onOpen: (model: Model) => void
  onRefused: (refused: BulkFailure) => void
}

function FilteredList(shown: ListProps) {
  const search = useModelSearch()
  const asked = useMemo(() => buildQuery(search), [search])
  const models = useModels(asked)
  const rows = useMemo(() => flattenPages(models.data), [models.data])
  const isNew = !hasFilters(search) && !search.trash
  if (isEmpty(models) && isNew) return <FirstSteps />
  return (
    <>
      <Filters rows={rows} />
      {models.isPending ? (
        <Loading label="Loading the models" />
      ) : models.isError && !models.data ? (
        <LoadError error={models.error} onRetry={() => void models.refetch()} />
      ) : isEmpty(models) ? (
        <NoResults search={search} />
      ) : (
        <Results models={models} rows={rows} asked={asked} {...shown} />
      )}
    </>
  )
}

interface ResultsProps extends ListProps {
  models: ModelsQuery
  rows: Model[]
  asked: ModelQuery
}

function Results({ models, rows, asked, onOpen, onRefused }: ResultsProps) {
  const search = useModelSearch()
  const openId = useOpenModel()
  const total = useTotal(asked)
  const { may, mayChange } = usePermissions()
  const selection = useSelection(rows, mayChange, JSON.stringify(asked))
  const isTrash = search.trash ?? false
  const List = search.view === 'grid' && !isTrash ? ModelGrid : ModelTable
  return (
    <>
      <div className={models.isPlaceholderData ? classes.stale : undefined} aria-busy={models.isPlaceholderData}>
        <List
          kind={isTrash ? 'trash' : 'living'}
          rows={rows}
          total={total?.isAtLeast ? undefined : total?.count}
          selection={selection}
          mayMark={mayChange}
          hasMarks={may('models_upload')}
          openId={openId}
          onOpen={onOpen}
          hasMore={models.hasNextPage && !models.isFetchingNextPage && !models.isFetchNextPageError}
          onMore={models.fetchNextPage}
        />
      </div>
      <ListEnd models={models} />
      <Suspense>
        {selection.models.length > 0 && <BulkBar selection={selection} isTrash={isTrash} onRefused={onRefused} />}
      </Suspense>
    </>
  )
}

function isEmpty(models: ModelsQuery): boolean {
  return models.isSuccess && !models.isPlaceholderData && flattenPages(models.data).length === 0
}

function hasFilters(search: ModelSearch): boolean {
  return FILTERS.some((name) => search[name] !== undefined)
}

function NoResults({ search }: { search: ModelSearch }) {
  if (search.missing && FILTERS.every((name) => name === 'missing' || search[name] === undefined)) {
    return <Empty title="No models are missing">Each machine has all the models that it should have.</Empty>
  }
  if (search.trash && !hasFilters(search)) {
    return <Empty title="The trash is empty">Deleted models can be restored from here for some days.</Empty>
  }
  return <Empty title="No models match">Clear filters, or search for a part of the name, path or tag.</Empty>
}

function ListEnd({ models }: { models: ModelsQuery }) {
  if (models.isFetchNextPageError) {
    return (
      <Center p="md">
        <Text role="alert" mr="sm">
          More models could not be loaded.
        </Text>
        <Button variant="default" size="compact-sm" onClick={() => void models.fetchNextPage()}>
          Retry
        </Button>
      </Center>
    )
  }
  // The height is fixed, so that the layout does not shift.
  return (
    <Center h={56}>{models.isFetchingNextPage && <Loader size="sm" role="status" aria-label="Loading more" />}</Center>
  )
}
