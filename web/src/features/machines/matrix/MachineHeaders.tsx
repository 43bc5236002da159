// The column headers of the matrix: machine name (vertical) and status.

import { Link } from '@tanstack/react-router'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo } from 'react'
import type { Agent } from '@/api/types'
import { getTextColour, STATUS_MARKS } from '@/components/statusMarks'
import { GridElement } from '@/features/machines/matrix/GridElement'
import classes from '@/features/machines/matrix/matrix.module.css'

interface Shown {
  agents: Agent[]
  columns: VirtualItem[]
  /** The focusable column, if it is in the header row. */
  active: number | undefined
}

export function MachineHeaders({ agents, columns, active }: Shown) {
  return columns.map((column) => {
    const agent = agents[column.index]
    const place = column.index + 1
    return (
      agent && (
        <GridElement
          key={column.key}
          role="columnheader"
          aria-colindex={place + 1}
          className={classes.cell}
          style={{ left: column.start, width: column.size }}
        >
          <MachineHeader agent={agent} place={place} isActive={active === place} />
        </GridElement>
      )
    )
  })
}

const MachineHeader = memo(function Head({
  agent,
  place,
  isActive,
}: {
  agent: Agent
  place: number
  isActive: boolean
}) {
  const mark = STATUS_MARKS[agent.agent_status]
  const words = `${agent.agent_id}, ${mark.label.toLowerCase()}${agent.paused ? ', paused' : ''}`
  return (
    <Link
      from="/machines"
      to="/machines"
      search={(search) => ({ ...search, machine: agent.agent_id })}
      className={classes.machine}
      data-place={`0:${place}`}
      tabIndex={isActive ? 0 : -1}
      aria-label={words}
      title={words}
    >
      <mark.icon
        size={16}
        color={getTextColour(mark.colour)}
        aria-hidden
        style={{ transform: 'rotate(180deg)', flexShrink: 0 }}
      />
      <bdi>{agent.agent_id}</bdi>
    </Link>
  )
})
