// The machines at the head of their columns: each one's name, upright, and how it is.

import { Link } from '@tanstack/react-router'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo } from 'react'
import type { Agent } from '@/api/types'
import { readable, STATUS } from '@/parts/marks'
import classes from '@/views/machines/matrix/matrix.module.css'
import { Part } from '@/views/machines/matrix/Part'

interface Shown {
  agents: Agent[]
  columns: VirtualItem[]
  /** The column that is in the order of tabs, if it is in the head. */
  active: number | undefined
}

export function Heads({ agents, columns, active }: Shown) {
  return columns.map((column) => {
    const agent = agents[column.index]
    const place = column.index + 1
    return (
      agent && (
        <Part
          key={column.key}
          role="columnheader"
          aria-colindex={place + 1}
          className={classes.cell}
          style={{ left: column.start, width: column.size }}
        >
          <Head agent={agent} place={place} isActive={active === place} />
        </Part>
      )
    )
  })
}

const Head = memo(function Head({ agent, place, isActive }: { agent: Agent; place: number; isActive: boolean }) {
  const mark = STATUS[agent.agent_status]
  const words = `${agent.agent_id}, ${mark.word.toLowerCase()}${agent.paused ? ', paused' : ''}`
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
        color={readable(mark.colour)}
        aria-hidden
        style={{ transform: 'rotate(180deg)', flexShrink: 0 }}
      />
      <bdi>{agent.agent_id}</bdi>
    </Link>
  )
})
