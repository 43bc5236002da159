// The heading of a view, which is also the title of the browser tab, with the view's actions.

import { Group, Title } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import type { ReactNode } from 'react'

export function Heading({ title, children }: { title: string; children?: ReactNode }) {
  useDocumentTitle(`${title} · Modelyard`)
  return (
    <Group justify="space-between" mb="md" gap="sm">
      <Title order={1} size="h1">
        {title}
      </Title>
      <Group gap="xs">{children}</Group>
    </Group>
  )
}
