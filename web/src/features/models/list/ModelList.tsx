// The list of models beside its filters, as a gallery or table, and its empty states.

import { Button, Center, Loader, Text } from '@mantine/core'
import { useDisclosure, useMediaQuery } from '@mantine/hooks'
import { lazy, memo, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { asProblem } from '@/api/problem'
import type { Model, ModelQuery } from '@/api/types'
import { notifyFailures } from '@/components/notify'
import { LoadError, Loading } from '@/components/placeholders'
import { useCollectionDialog } from '@/features/collections/useCollectionDialog'
import type { BulkFailure } from '@/features/models/bulk/actions'
import { FacetRail } from '@/features/models/filters/FacetRail'
import type { OnToggle } from '@/features/models/filters/FacetValues'
import { toggleValue } from '@/features/models/filters/searchText'
import { Toolbar } from '@/features/models/filters/Toolbar'
import { useExactTotal } from '@/features/models/filters/useFacets'
import { StepsPlace } from '@/features/models/firstSteps/StepsPlace'
import { areStepsClosed } from '@/features/models/firstSteps/steps'
import { Gallery } from '@/features/models/list/Gallery'
import { ListSummary } from '@/features/models/list/ListSummary'
import classes from '@/features/models/list/list.module.css'
import { ModelTable } from '@/features/models/list/ModelTable'
import { NoResults } from '@/features/models/list/NoResults'
import { useSelection } from '@/features/models/list/useSelection'
import { useSendDialog } from '@/features/models/list/useSendDialog'
import { buildQuery, flattenPages, type Total, useModels, useTotal } from '@/features/models/queries'
import { useChangeSearch, useModelSearch, useOpenModel } from '@/features/models/useModelSearch'

const FirstSteps = lazy(() =>
  import('@/features/models/firstSteps/FirstSteps').then(({ FirstSteps }) => ({ default: FirstSteps })),
)
const StepsBar = lazy(() =>
  import('@/features/models/firstSteps/StepsBar').then(({ StepsBar }) => ({ default: StepsBar })),
)
const BulkBar = lazy(() => import('@/features/models/bulk/BulkBar').then(({ BulkBar }) => ({ default: BulkBar })))
const Refusals = lazy(() =>
  import('@/features/models/bulk/FailuresDialog').then(({ FailuresDialog }) => ({ default: FailuresDialog })),
)
const FilterDrawer = lazy(() =>
  import('@/features/models/filters/FilterDrawer').then(({ FilterDrawer }) => ({ default: FilterDrawer })),
)

const WIDE = '(min-width: 48em)'

type ModelsQuery = ReturnType<typeof useModels>

export const ModelList = memo(function ModelList({ onOpen }: { onOpen: (model: Model) => void }) {
  // Kept here, because the list itself may be gone when failures of a bulk action are shown.
  const [refused, setRefused] = useState<BulkFailure>()
  const isMounted = useIsMounted()
  const onRefused = (what: BulkFailure) =>
    isMounted() ? setRefused(what) : notifyFailures('model', what.act.pastTense, what.refused)
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
  const go = useChangeSearch()
  const asked = useMemo(() => buildQuery(search), [search])
  const models = useModels(asked)
  const total = useExactTotal({ q: search.q ?? '', isTrash: search.trash ?? false }, useTotal(asked))
  const rows = useMemo(() => flattenPages(models.data), [models.data])
  const isWide = useMediaQuery(WIDE, window.matchMedia(WIDE).matches, { getInitialValueInEffect: false })
  const [isFiltering, drawer] = useDisclosure(false)
  const onToggle: OnToggle = useCallback(
    (qualifier, value) => go((now) => ({ q: toggleValue(now.q ?? '', qualifier, value) })),
    [go],
  )
  const onClear = useCallback(() => go({ q: undefined }), [go])
  if (isEmpty(models) && !search.q && !search.trash) {
    return (
      <Suspense fallback={<Loading />}>
        <FirstSteps />
      </Suspense>
    )
  }
  const q = search.q ?? ''
  const misunderstood = models.isError ? asProblem(models.error).fields.q : undefined
  return (
    <div className={classes.view}>
      {isWide && (
        <aside className={classes.rail} aria-label="Filters" data-facets>
          <FacetRail q={q} isTrash={search.trash ?? false} onToggle={onToggle} />
        </aside>
      )}
      <div className={classes.content}>
        <Toolbar error={misunderstood} onFilters={drawer.open} />
        <Steps isShown={!search.trash} />
        <ListSummary total={total} onClear={onClear} />
        <ListBody models={models} rows={rows} asked={asked} total={total} {...shown} />
      </div>
      <Suspense>
        {!isWide && (
          <FilterDrawer
            isOpen={isFiltering}
            q={q}
            isTrash={search.trash ?? false}
            total={total}
            onToggle={onToggle}
            onClear={onClear}
            onClose={drawer.close}
          />
        )}
      </Suspense>
    </div>
  )
}

function Steps({ isShown }: { isShown: boolean }) {
  const { may } = usePermissions()
  if (!isShown || !may('models_upload') || areStepsClosed()) return null
  return (
    <Suspense fallback={<StepsPlace />}>
      <StepsBar />
    </Suspense>
  )
}

/** The results, or what is shown in their place; a search that is not understood is explained at the search box. */
function ListBody(props: ResultsProps) {
  const { models } = props
  const search = useModelSearch()
  if (models.isPending) return <Loading label="Loading the models" />
  if (models.isError && asProblem(models.error).fields.q !== undefined) return null
  if (models.isError && !models.data) {
    return <LoadError error={models.error} onRetry={() => void models.refetch()} />
  }
  return isEmpty(models) ? (
    <NoResults search={search} similar={models.data.pages[0]?.did_you_mean} />
  ) : (
    <Results {...props} />
  )
}

interface ResultsProps extends ListProps {
  models: ModelsQuery
  rows: Model[]
  asked: ModelQuery
  total: Total | undefined
}

function Results({ models, rows, asked, total, onOpen, onRefused }: ResultsProps) {
  const search = useModelSearch()
  const openId = useOpenModel()
  const { may, mayChange } = usePermissions()
  const { send, dialog } = useSendDialog()
  const onSend = may('agents_assign') ? send : undefined
  const { addToCollection, dialog: collectionDialog } = useCollectionDialog()
  const onAddToCollection = may('collections_edit') ? addToCollection : undefined
  const list = JSON.stringify(asked)
  const isTrash = search.trash ?? false
  const maySend = may('agents_assign') && !isTrash
  const mayMark = useCallback((model: Model) => maySend || mayChange(model), [maySend, mayChange])
  const selection = useSelection(rows, mayMark, list)
  const List = isTrash || search.view === 'table' ? ModelTable : Gallery
  return (
    <>
      <div className={models.isPlaceholderData ? classes.stale : undefined} aria-busy={models.isPlaceholderData}>
        <List
          kind={isTrash ? 'trash' : 'living'}
          rows={rows}
          list={list}
          total={total?.isAtLeast ? undefined : total?.count}
          selection={selection}
          mayMark={mayMark}
          mayChange={mayChange}
          hasMarks={may('models_upload')}
          openId={openId}
          onOpen={onOpen}
          onSend={onSend}
          hasMore={models.hasNextPage && !models.isFetchingNextPage && !models.isFetchNextPageError}
          onMore={models.fetchNextPage}
        />
      </div>
      <ListEnd models={models} />
      <Suspense>
        {selection.models.length > 0 && (
          <BulkBar
            selection={selection}
            isTrash={isTrash}
            mayChange={mayChange}
            onSend={onSend}
            onAddToCollection={onAddToCollection}
            onRefused={onRefused}
          />
        )}
      </Suspense>
      {dialog}
      {collectionDialog}
    </>
  )
}

function isEmpty(models: ModelsQuery): boolean {
  return models.isSuccess && !models.isPlaceholderData && flattenPages(models.data).length === 0
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
