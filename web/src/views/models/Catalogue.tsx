// The list with its filters, in whichever way it is shown; and what is there instead of it.

import { Button, Center, Loader, Text } from '@mantine/core'
import { lazy, memo, Suspense, useEffect, useMemo, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model, ModelQuery } from '@/api/types'
import { Empty, Failed, Loading } from '@/parts/states'
import { askedFor, rowsOf, useModels, useTotal } from '@/views/models/asking'
import { type Refused, tellInPassing } from '@/views/models/bulk/acts'
import { Filters } from '@/views/models/Filters'
import { FirstSteps } from '@/views/models/FirstSteps'
import { Grid } from '@/views/models/Grid'
import classes from '@/views/models/models.module.css'
import { useModelSearch, useOpenModel } from '@/views/models/place'
import { FILTERS, type ModelSearch } from '@/views/models/search'
import { useSelection } from '@/views/models/selection'
import { Table } from '@/views/models/Table'

const BulkBar = lazy(() => import('@/views/models/bulk/BulkBar').then(({ BulkBar }) => ({ default: BulkBar })))
const Refusals = lazy(() => import('@/views/models/bulk/Refusals').then(({ Refusals }) => ({ default: Refusals })))

type Asked = ReturnType<typeof useModels>

export const Catalogue = memo(function Catalogue({ onOpen }: { onOpen: (model: Model) => void }) {
  // Kept here: what is refused of many models may be because they, and with them the whole list, are gone.
  const [refused, setRefused] = useState<Refused>()
  const isThere = useIsThere()
  const onRefused = (what: Refused) => (isThere() ? setRefused(what) : tellInPassing(what.act.did, what.refused))
  return (
    <>
      <Listed onOpen={onOpen} onRefused={onRefused} />
      <Suspense>{refused && <Refusals {...refused} onClose={() => setRefused(undefined)} />}</Suspense>
    </>
  )
})

/** Whether the view is still shown, for what comes to its end after somebody has gone elsewhere. */
function useIsThere(): () => boolean {
  const isThere = useRef(false)
  useEffect(() => {
    isThere.current = true
    return () => {
      isThere.current = false
    }
  }, [])
  return () => isThere.current
}

interface Shown {
  onOpen: (model: Model) => void
  onRefused: (refused: Refused) => void
}

function Listed(shown: Shown) {
  const search = useModelSearch()
  const asked = useMemo(() => askedFor(search), [search])
  const models = useModels(asked)
  const rows = useMemo(() => rowsOf(models.data), [models.data])
  const isNew = !hasFilters(search) && !search.trash
  if (isNothing(models) && isNew) return <FirstSteps />
  return (
    <>
      <Filters rows={rows} />
      {models.isPending ? (
        <Loading what="Loading the models" />
      ) : models.isError && !models.data ? (
        <Failed error={models.error} again={() => void models.refetch()} />
      ) : isNothing(models) ? (
        <Nothing search={search} />
      ) : (
        <Found models={models} rows={rows} asked={asked} {...shown} />
      )}
    </>
  )
}

interface FoundModels extends Shown {
  models: Asked
  rows: Model[]
  asked: ModelQuery
}

function Found({ models, rows, asked, onOpen, onRefused }: FoundModels) {
  const search = useModelSearch()
  const openId = useOpenModel()
  const total = useTotal(asked)
  const { may, mayChange } = usePermissions()
  const selection = useSelection(rows, mayChange, JSON.stringify(asked))
  const isTrash = search.trash ?? false
  const List = search.view === 'grid' && !isTrash ? Grid : Table
  return (
    <>
      <div className={models.isPlaceholderData ? classes.stale : undefined} aria-busy={models.isPlaceholderData}>
        <List
          kind={isTrash ? 'trash' : 'living'}
          rows={rows}
          total={total?.isAtLeast ? undefined : total?.count}
          selection={selection}
          mayMark={mayChange}
          hasMarks={may('upload')}
          openId={openId}
          onOpen={onOpen}
          hasMore={models.hasNextPage && !models.isFetchingNextPage && !models.isFetchNextPageError}
          onMore={models.fetchNextPage}
        />
      </div>
      <End models={models} />
      <Suspense>
        {selection.models.length > 0 && <BulkBar selection={selection} isTrash={isTrash} onRefused={onRefused} />}
      </Suspense>
    </>
  )
}

function isNothing(models: Asked): boolean {
  return models.isSuccess && !models.isPlaceholderData && rowsOf(models.data).length === 0
}

function hasFilters(search: ModelSearch): boolean {
  return FILTERS.some((name) => search[name] !== undefined)
}

function Nothing({ search }: { search: ModelSearch }) {
  if (search.missing && FILTERS.every((name) => name === 'missing' || search[name] === undefined)) {
    return <Empty title="Everything is everywhere">Each machine has all the models that it should have.</Empty>
  }
  if (search.trash && !hasFilters(search)) {
    return <Empty title="The trash is empty">A deleted model can come back from here for some days.</Empty>
  }
  return <Empty title="No model is like this">Take a filter away, or search for a part of the name, path or tag.</Empty>
}

function End({ models }: { models: Asked }) {
  if (models.isFetchNextPageError) {
    return (
      <Center p="md">
        <Text role="alert" mr="sm">
          The next models did not come.
        </Text>
        <Button variant="default" size="compact-sm" onClick={() => void models.fetchNextPage()}>
          Try again
        </Button>
      </Center>
    )
  }
  // Its room is always there: what follows does not move.
  return (
    <Center h={56}>{models.isFetchingNextPage && <Loader size="sm" role="status" aria-label="Loading more" />}</Center>
  )
}
