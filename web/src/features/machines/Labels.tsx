// Labels of a machine: its own are outlined; labels set by the team are filled and have an icon.

import { Badge, Group } from '@mantine/core'
import { IconUsers } from '@tabler/icons-react'
import type { Agent } from '@/api/types'
import { describeIgnored, splitLabels } from '@/features/machines/useMachines'

export function Labels({ agent }: { agent: Agent }) {
  const { own, central } = splitLabels(agent)
  if (!own.length && !central.length) return null
  return (
    <Group gap={4} role="list" aria-label="Labels">
      {own.map((label) => (
        <Label key={label} text={label} title={`Label set on the machine${describeIgnored(agent, [label])}`} />
      ))}
      {central.map((label) => (
        <Label key={label} text={label} title="Label set by the team" isCentral />
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
      leftSection={isCentral ? <IconUsers size={12} role="img" aria-label="Set by the team:" /> : undefined}
    >
      <bdi>{text}</bdi>
    </Badge>
  )
}
