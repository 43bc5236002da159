// Who did what in the team, newest first; the filters are in the address.

import { Button, Center, Stack, VisuallyHidden } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { Heading } from '@/parts/Heading'
import { Empty, Failed, Loading, MayBeOld } from '@/parts/states'
import { count } from '@/parts/words'
import { EventRow } from '@/views/team/EventRow'
import { HistoryFilters } from '@/views/team/HistoryFilters'
import type { AuditSearch } from '@/views/team/search'

const route = getRouteApi('/inside/team/history')
const PER_PAGE = 50

export function History() {
  const { may } = usePermissions()
  return (
    <>
      <Heading title="History" />
      {may('read history') ? (
        <>
          <HistoryFilters />
          <Events />
        </>
      ) : (
        <Empty title="Only admins see the history">Ask an admin of the team.</Empty>
      )}
    </>
  )
}

function Events() {
  const events = useEvents(route.useSearch())
  if (events.isError && !events.data) return <Failed error={events.error} again={() => void events.refetch()} />
  if (!events.data) return <Loading what="Loading the history" />
  const found = events.data.pages.flatMap((page) => page.audit_event_list)
  if (!found.length) return <Empty title="Nothing happened">At least nothing that fits these filters.</Empty>
  return (
    <>
      {events.isRefetchError && <MayBeOld error={events.error} again={() => void events.refetch()} />}
      <VisuallyHidden role="status">{count(found.length, 'event')} shown</VisuallyHidden>
      <Stack component="ol" gap={0} m={0} p={0} aria-label="Events" style={{ listStyle: 'none' }}>
        {found.map((event) => (
          <EventRow key={event.id} event={event} />
        ))}
      </Stack>
      {events.hasNextPage && (
        <Center p="md">
          <Button variant="default" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
            Show older ones
          </Button>
        </Center>
      )}
      {events.isFetchNextPageError && <Failed error={events.error} again={() => void events.fetchNextPage()} />}
    </>
  )
}

function useEvents(asked: AuditSearch) {
  return useInfiniteQuery({
    queryKey: ['events', asked],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => {
      const query = { ...inTimes(asked), cursor: pageParam, per_page: PER_PAGE }
      return answered(api.GET('/api/v1/audit-events', { params: { query }, signal }))
    },
    getNextPageParam: (page) => page.page_meta.next_cursor,
  })
}

/** Days of the address are those of the reader's clock, the last one included; the registry is asked for times. */
function inTimes({ since, until, ...rest }: AuditSearch): AuditSearch {
  const begin = since && startOf(since, 0)
  const end = until && startOf(until, 1)
  return { ...rest, ...(begin && { since: begin }), ...(end && { until: end }) }
}

function startOf(day: string, later: number): string | undefined {
  const start = new Date(`${day}T00:00`)
  // What is no day is left to the registry to refuse, in its own words.
  if (Number.isNaN(start.getTime())) return day
  start.setDate(start.getDate() + later)
  return start.toISOString()
}
