// What happened to a model and who did it: for admins.

import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import type { AuditEvent, Model } from '@/api/types'
import { tellingOf } from '@/parts/eventWords'
import { AnchorLink } from '@/parts/links'
import { Failed } from '@/parts/states'
import { dateAndTime } from '@/parts/words'
import { Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'

const MOST_SHOWN = 20

export function History({ model: { id, model_path } }: { model: Model }) {
  const { data, error, refetch } = useQuery({
    queryKey: ['models', 'history', id],
    queryFn: ({ signal }) =>
      answered(
        api.GET('/api/v1/audit-events', {
          params: { query: { object_id: id, per_page: MOST_SHOWN, cursor: '' } },
          signal,
        }),
      ),
  })
  return (
    <Section title="History">
      {error && !data && <Failed error={error} again={() => void refetch()} />}
      <Stack component="ol" gap="xs" className={classes.plain ?? ''}>
        {data?.audit_event_list.map((event) => (
          <Happened key={event.id} event={event} path={model_path} />
        ))}
      </Stack>
      {data?.page_meta.next_cursor && (
        <AnchorLink to="/team/history" search={{ object_id: id }} size="sm">
          All of its history
        </AnchorLink>
      )}
    </Section>
  )
}

/** A sentence about "it", or about the path that it had then. */
function Happened({ event, path }: { event: AuditEvent; path: string }) {
  const { did, what, more } = tellingOf(event)
  return (
    <li>
      <Text size="sm">
        <bdi>{event.actor_name}</bdi> {did} {what === path ? 'it' : <bdi>{what}</bdi>}
        <bdi>{more}</bdi>
      </Text>
      <Text size="xs" c="dimmed">
        {dateAndTime(event.created_at)}
      </Text>
    </li>
  )
}
