// A section of the details with a heading, and rows of a name and a value.

import { Title } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from '@/features/models/models.module.css'

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Title order={3} size="h5" mb={6}>
        {title}
      </Title>
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
