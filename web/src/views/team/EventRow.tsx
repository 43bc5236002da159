// One event as a sentence. Whoever did it and what it was done to are ways to see more of the same.

import { Badge, Group, Text } from '@mantine/core'
import type { AuditEvent } from '@/api/types'
import { Ago } from '@/parts/Ago'
import { type Telling, tellingOf } from '@/parts/eventWords'
import { AnchorLink } from '@/parts/links'

// High enough to be hit with a finger (WCAG 2.2, 2.5.8).
const TALL = { display: 'inline-block', lh: '24px' } as const

export function EventRow({ event }: { event: AuditEvent }) {
  const telling = tellingOf(event)
  return (
    <Group
      component="li"
      justify="space-between"
      align="baseline"
      gap="xs"
      py={6}
      px="xs"
      style={{ borderBottom: '1px solid var(--mantine-color-default-border)' }}
    >
      <Text size="sm" component="div" flex="1 1 18rem">
        <Actor event={event} /> {telling.did} <What event={event} telling={telling} />
        <bdi>{telling.more}</bdi>
      </Text>
      <Group gap="sm" wrap="nowrap">
        {event.object_id && (
          <AnchorLink
            to="/team/history"
            search={{ object_id: event.object_id }}
            size="xs"
            {...TALL}
            aria-label={`All about ${telling.what ?? 'this'}`}
          >
            All about it
          </AnchorLink>
        )}
        <Text size="xs" c="dimmed" component="div" miw={90} ta="end">
          <Ago time={event.created_at} />
        </Text>
      </Group>
    </Group>
  )
}

function Actor({ event }: { event: AuditEvent }) {
  const name = <bdi>{event.actor_name}</bdi>
  const kind = event.actor_kind !== 'user' && event.actor_kind !== 'system' && (
    <Badge variant="default" size="xs" tt="none" ms={4}>
      {event.actor_kind === 'device' ? 'device' : `${event.actor_kind} key`}
    </Badge>
  )
  if (!event.actor_id) return <strong>{name}</strong>
  return (
    <>
      <AnchorLink to="/team/history" search={{ actor_id: event.actor_id }} size="sm" fw={600} {...TALL}>
        {name}
      </AnchorLink>
      {kind}
    </>
  )
}

function What({ event, telling }: { event: AuditEvent; telling: Telling }) {
  const { what } = telling
  if (!what) return null
  if (event.object_id && event.action.startsWith('model.')) {
    // What was deleted is open to look at in the trash.
    const search = { model: event.object_id, ...(event.action === 'model.deleted' && { trash: true }) }
    return (
      <AnchorLink to="/models" search={search} size="sm" {...TALL}>
        <bdi>{what}</bdi>
      </AnchorLink>
    )
  }
  if (event.object_id && event.action.startsWith('agent.')) {
    return (
      <AnchorLink to="/machines" search={{ machine: event.object_id }} size="sm" {...TALL}>
        <bdi>{what}</bdi>
      </AnchorLink>
    )
  }
  return (
    <strong>
      <bdi>{what}</bdi>
    </strong>
  )
}
