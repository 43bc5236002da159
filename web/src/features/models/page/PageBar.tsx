// The way back to the list, and the neighbours of the model in it.

import { ActionIcon, Text } from '@mantine/core'
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { AnchorLink } from '@/components/links'
import classes from '@/features/models/page/modelPage.module.css'
import type { Neighbours } from '@/features/models/page/useNeighbours'
import type { ModelSearch } from '@/features/models/search'

interface PageBarProps {
  search: ModelSearch
  neighbours: Neighbours
  /** What follows the neighbours. */
  children: ReactNode
}

export function PageBar({ search, neighbours, children }: PageBarProps) {
  return (
    <div className={classes.bar}>
      <nav className={classes.steps} aria-label="Place in the list">
        <AnchorLink to="/models" search={search} c="dimmed" size="sm" className={classes.back ?? ''}>
          <IconChevronLeft size={16} aria-hidden /> {search.trash ? 'Trash' : 'Models'}
        </AnchorLink>
        <Text size="xs" c="dimmed" role="status" ml="auto">
          {neighbours.place}
        </Text>
        <Step label="Previous model ([)" id={neighbours.previous?.id} search={search} icon={IconChevronLeft} />
        <Step label="Next model (])" id={neighbours.next?.id} search={search} icon={IconChevronRight} />
      </nav>
      {children}
    </div>
  )
}

interface StepProps {
  label: string
  id: string | undefined
  search: ModelSearch
  icon: typeof IconChevronLeft
}

function Step({ label, id, search, icon: Icon }: StepProps) {
  const shared = { variant: 'subtle', color: 'gray', 'aria-label': label, title: label } as const
  if (id === undefined) {
    return (
      <ActionIcon {...shared} disabled>
        <Icon size={18} aria-hidden />
      </ActionIcon>
    )
  }
  return (
    <ActionIcon
      {...shared}
      renderRoot={(props) => <Link to="/models/$id" params={{ id }} search={search} {...props} />}
    >
      <Icon size={18} aria-hidden />
    </ActionIcon>
  )
}
