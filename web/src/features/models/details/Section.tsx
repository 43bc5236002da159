// A section of the details with a heading, and rows of a name and a value.

import { Group, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from '@/features/models/models.module.css'

interface SectionProps {
  title: string
  /** A few dimmed words beside the title. */
  note?: ReactNode
  /** Actions at the end of the heading's line. */
  aside?: ReactNode
  children: ReactNode
}

export function Section({ title, note, aside, children }: SectionProps) {
  return (
    <section aria-label={title}>
      <Group gap="xs" mb={6} mih={28} justify="space-between">
        <Group gap="xs">
          <Title order={2} size="h2">
            {title}
          </Title>
          {note && (
            <Text size="sm" c="dimmed" component="span">
              {note}
            </Text>
          )}
        </Group>
        {aside}
      </Group>
      {children}
    </section>
  )
}

export function Rows({ children }: { children: ReactNode }) {
  return <dl className={classes.rows}>{children}</dl>
}

export function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}
