// What happened to a model and who did it: for admins.

import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { AuditEvent, Model } from '@/api/types'
import { describeEvent, SOME_MODEL } from '@/components/describeEvent'
import { formatDateTime } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { LoadError } from '@/components/placeholders'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/models.module.css'

const MAX_SHOWN = 20

export function ModelHistory({ model: { id, model_path } }: { model: Model }) {
  const { data, error, refetch } = useQuery({
    queryKey: ['models', 'history', id],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/audit-events', {
          params: { query: { object_id: id, per_page: MAX_SHOWN, cursor: '' } },
          signal,
        }),
      ),
  })
  return (
    <Section title="History">
      {error && !data && <LoadError error={error} onRetry={() => void refetch()} />}
      <Stack component="ol" gap="xs" className={classes.plain ?? ''}>
        {data?.audit_event_list.map((event) => (
          <HistoryEntry key={event.id} event={event} path={model_path} />
        ))}
      </Stack>
      {data?.page_meta.next_cursor && (
        <AnchorLink to="/team/history" search={{ object_id: id }} size="sm">
          Show full history
        </AnchorLink>
      )}
    </Section>
  )
}

/** An event with the path that the model had then; one that names none has the path of today. */
function HistoryEntry({ event, path }: { event: AuditEvent; path: string }) {
  const { verb, object, detail } = describeEvent(event)
  return (
    <li>
      <Text size="sm">
        <bdi>{event.actor_name}</bdi> {verb} <bdi>{object === SOME_MODEL ? path : object}</bdi>
        <bdi>{detail}</bdi>
      </Text>
      <Text size="xs" c="dimmed">
        {formatDateTime(event.created_at)}
      </Text>
    </li>
  )
}
