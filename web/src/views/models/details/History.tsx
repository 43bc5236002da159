// What happened to a model and who did it: for admins.

import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import type { AuditEvent } from '@/api/types'
import { AnchorLink } from '@/parts/links'
import { Failed } from '@/parts/states'
import { dateAndTime } from '@/parts/words'
import { Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'

const MOST_SHOWN = 20

const WORDS: Record<string, string> = {
  'model.registered': 'Registered',
  'model.changed': 'Changed',
  'model.enabled': 'Enabled',
  'model.disabled': 'Disabled',
  'model.deleted': 'Deleted',
  'model.restored': 'Restored',
  'model.replaced': 'Replaced by another',
  'model.verified': 'Verified',
  'model.failed': 'Found damaged',
  'model.rotten': 'Found damaged',
  'model.healed': 'Healed',
}

export function History({ id }: { id: string }) {
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
          <Happened key={event.id} event={event} />
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

function Happened({ event }: { event: AuditEvent }) {
  const facts = Object.entries(event.facts).map(([name, value]) => `${name}: ${said(value)}`)
  return (
    <li>
      <Text size="sm">
        {WORDS[event.action] ?? event.action} by <bdi>{event.actor_name}</bdi>
      </Text>
      <Text size="xs" c="dimmed">
        {dateAndTime(event.created_at)}
        {facts.length > 0 && ' · '}
        <bdi>{facts.join(', ')}</bdi>
      </Text>
    </li>
  )
}

function said(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ') || 'none'
  return value === null ? 'none' : typeof value === 'object' ? JSON.stringify(value) : String(value)
}
