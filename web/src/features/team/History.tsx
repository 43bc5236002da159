// Who did what in the team, newest first; the filters are in the address.

import { Button, Center, Stack, VisuallyHidden } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { EventRow } from '@/features/team/EventRow'
import { HistoryFilters } from '@/features/team/HistoryFilters'
import type { AuditSearch } from '@/features/team/search'

const route = getRouteApi('/inside/team/history')
const PER_PAGE = 50

export function History() {
  const { may } = usePermissions()
  return (
    <>
      <Heading title="History" />
      {may('audit_read') ? (
        <>
          <HistoryFilters />
          <Events />
        </>
      ) : (
        <Empty title="Only admins can see the history">Ask an admin of the team.</Empty>
      )}
    </>
  )
}

function Events() {
  const events = useEvents(route.useSearch())
  if (events.isError && !events.data) return <LoadError error={events.error} onRetry={() => void events.refetch()} />
  if (!events.data) return <Loading label="Loading the history" />
  const entries = events.data.pages.flatMap((page) => page.audit_event_list)
  if (!entries.length) return <Empty title="No events match">Change or clear the filters.</Empty>
  return (
    <>
      {events.isRefetchError && <StaleDataNotice error={events.error} onRetry={() => void events.refetch()} />}
      <VisuallyHidden role="status">{formatCount(entries.length, 'event')} shown</VisuallyHidden>
      <Stack component="ol" gap={0} m={0} p={0} aria-label="Events" style={{ listStyle: 'none' }}>
        {entries.map((event) => (
          <EventRow key={event.id} event={event} />
        ))}
      </Stack>
      {events.hasNextPage && (
        <Center p="md">
          <Button variant="default" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
            Show older events
          </Button>
        </Center>
      )}
      {events.isFetchNextPageError && <LoadError error={events.error} onRetry={() => void events.fetchNextPage()} />}
    </>
  )
}

function useEvents(search: AuditSearch) {
  return useInfiniteQuery({
    queryKey: ['events', search],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => {
      const query = { ...toTimes(search), cursor: pageParam, per_page: PER_PAGE }
      return unwrap(api.GET('/api/v1/audit-events', { params: { query }, signal }))
    },
    getNextPageParam: (page) => page.page_meta.next_cursor,
  })
}

/** Convert local days of the address, the last one included, to times for the registry. */
function toTimes({ since, until, ...rest }: AuditSearch): AuditSearch {
  const begin = since && getStartOfDay(since, 0)
  const end = until && getStartOfDay(until, 1)
  return { ...rest, ...(begin && { since: begin }), ...(end && { until: end }) }
}

function getStartOfDay(day: string, later: number): string | undefined {
  const start = new Date(`${day}T00:00`)
  // The registry reports invalid days.
  if (Number.isNaN(start.getTime())) return day
  start.setDate(start.getDate() + later)
  return start.toISOString()
}
