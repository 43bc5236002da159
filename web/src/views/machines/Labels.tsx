// A machine's labels: its own are outlined, those that the team gave it are filled and carry a mark.

import { Badge, Group } from '@mantine/core'
import { IconUsers } from '@tabler/icons-react'
import type { Agent } from '@/api/types'
import { labelsOf } from '@/views/machines/fleet'

export function Labels({ agent }: { agent: Agent }) {
  const { own, central } = labelsOf(agent)
  if (!own.length && !central.length) return null
  return (
    <Group gap={4} role="list" aria-label="Labels">
      {own.map((label) => (
        <Label key={label} text={label} title="A label of the machine itself" />
      ))}
      {central.map((label) => (
        <Label key={label} text={label} title="A label given by the team" isCentral />
      ))}
    </Group>
  )
}

function Label({ text, title, isCentral = false }: { text: string; title: string; isCentral?: boolean }) {
  return (
    <Badge
      role="listitem"
      size="sm"
      tt="none"
      fw={500}
      maw={200}
      variant="default"
      bg={isCentral ? 'var(--mantine-color-default-hover)' : 'transparent'}
      title={title}
      leftSection={isCentral ? <IconUsers size={12} role="img" aria-label="Given by the team:" /> : undefined}
    >
      <bdi>{text}</bdi>
    </Badge>
  )
}
