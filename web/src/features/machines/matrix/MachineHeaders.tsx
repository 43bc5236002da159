// The column headers of the matrix: name and state of a machine, and its models where columns are wide.

import { Link } from '@tanstack/react-router'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo } from 'react'
import type { Agent } from '@/api/types'
import { formatDateTime } from '@/components/format'
import { MACHINE_STATE_MARKS } from '@/components/MachineState'
import { GridElement } from '@/features/machines/matrix/GridElement'
import classes from '@/features/machines/matrix/matrix.module.css'

interface Shown {
  agents: Agent[]
  columns: VirtualItem[]
  /** Names are written across, not upright. */
  isWide: boolean
  /** The focusable column, if it is in the header row. */
  active: number | undefined
}

export function MachineHeaders({ agents, columns, isWide, active }: Shown) {
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
          <MachineHeader agent={agent} place={place} isWide={isWide} isActive={active === place} />
        </GridElement>
      )
    )
  })
}

const MachineHeader = memo(function Head({
  agent,
  place,
  isWide,
  isActive,
}: {
  agent: Agent
  place: number
  isWide: boolean
  isActive: boolean
}) {
  const { icon: Icon, label, colour } = MACHINE_STATE_MARKS[agent.machine_state]
  // A time of day, since the header is rendered again only if its machine changes.
  const since = agent.machine_state === 'offline' ? `, last heartbeat ${formatDateTime(agent.last_heartbeat)}` : ''
  const state = `${agent.agent_id}, ${label.toLowerCase()}${agent.paused ? ', paused' : ''}${since}`
  const words = [state, agent.state_reason].filter(Boolean).join('. ')
  return (
    <Link
      from="/machines"
      to="/machines"
      search={(search) => ({ ...search, machine: agent.agent_id })}
      className={isWide ? classes.wideMachine : classes.machine}
      data-place={`0:${place}`}
      tabIndex={isActive ? 0 : -1}
      aria-label={words}
      title={words}
    >
      <bdi>{agent.agent_id}</bdi>
      <span className={classes.mark}>
        <Icon size={16} color={colour} aria-hidden />
        {isWide && `${agent.models_ready.toLocaleString('en')}/${agent.models_desired.toLocaleString('en')}`}
      </span>
    </Link>
  )
})
