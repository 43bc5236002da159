// One event as a sentence. Actor and object are links to related events.

import { Badge, Group, Text } from '@mantine/core'
import type { AuditEvent } from '@/api/types'
import { Ago } from '@/components/Ago'
import { describeEvent, type EventDescription } from '@/components/describeEvent'
import { AnchorLink } from '@/components/links'

// Minimum target size (WCAG 2.2, 2.5.8).
const TARGET_SIZE = { display: 'inline-block', lh: '24px' } as const

export function EventRow({ event }: { event: AuditEvent }) {
  const telling = describeEvent(event)
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
        <Actor event={event} /> {telling.verb} <EventObject event={event} telling={telling} />
        <bdi>{telling.detail}</bdi>
      </Text>
      <Group gap="sm" wrap="nowrap">
        {event.object_id && (
          <AnchorLink
            to="/team/history"
            search={{ object_id: event.object_id }}
            size="xs"
            {...TARGET_SIZE}
            aria-label={`Events about ${telling.object ?? 'this'}`}
          >
            Related events
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
      <AnchorLink to="/team/history" search={{ actor_id: event.actor_id }} size="sm" fw={600} {...TARGET_SIZE}>
        {name}
      </AnchorLink>
      {kind}
    </>
  )
}

function EventObject({ event, telling }: { event: AuditEvent; telling: EventDescription }) {
  const { object } = telling
  if (!object) return null
  if (event.object_id && /^(model|version)\./.test(event.action)) {
    // Deleted models are shown in the trash.
    const search = { model: event.object_id, ...(event.action === 'model.deleted' && { trash: true }) }
    return (
      <AnchorLink to="/models" search={search} size="sm" {...TARGET_SIZE}>
        <bdi>{object}</bdi>
      </AnchorLink>
    )
  }
  if (event.object_id && event.action.startsWith('agent.')) {
    return (
      <AnchorLink to="/machines" search={{ machine: event.object_id }} size="sm" {...TARGET_SIZE}>
        <bdi>{object}</bdi>
      </AnchorLink>
    )
  }
  return (
    <strong>
      <bdi>{object}</bdi>
    </strong>
  )
}
