// A framed section of a view with its own heading.

import { Group, Paper, Stack, Title } from '@mantine/core'
import type { ReactNode } from 'react'

interface PanelProps {
  title: string
  /** Buttons beside the heading. */
  actions?: ReactNode
  children: ReactNode
}

export function Panel({ title, actions, children }: PanelProps) {
  return (
    <Paper component="section" withBorder p="md" aria-label={title}>
      <Stack gap="sm">
        <Group justify="space-between" gap="sm" wrap="nowrap">
          <Title order={2} size="h4">
            {title}
          </Title>
          {actions && (
            <Group gap="xs" wrap="nowrap">
              {actions}
            </Group>
          )}
        </Group>
        {children}
      </Stack>
    </Paper>
  )
}
