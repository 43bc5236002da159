// One row of the matrix: a model on all visible machines.

import { Text } from '@mantine/core'
import { IconMinus } from '@tabler/icons-react'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo, useMemo } from 'react'
import type { Agent, AgentState, Model, ModelStates } from '@/api/types'
import { AnchorLink } from '@/components/links'
import { getStateMark, getTextColour, STATE_MARKS } from '@/components/statusMarks'
import { GridElement } from '@/features/machines/matrix/GridElement'
import classes from '@/features/machines/matrix/matrix.module.css'

interface MatrixRowProps {
  model: Model
  states: ModelStates | undefined
  agents: Agent[]
  columns: VirtualItem[]
  /** In the grid, from 1. */
  row: number
  /** The focusable column, if it is in this row. */
  active: number | undefined
  first: number
}

export const MatrixRow = memo(function Row({ model, states, agents, columns, row, active, first }: MatrixRowProps) {
  const known = useMemo(() => indexByMachine(states), [states])
  return (
    <>
      <GridElement role="rowheader" aria-colindex={1} className={classes.first} style={{ width: first }}>
        <AnchorLink
          to="/models"
          search={{ model: model.id }}
          size="sm"
          truncate
          display="block"
          title={model.model_path}
          data-place={`${row}:0`}
          tabIndex={active === 0 ? 0 : -1}
        >
          <bdi>{model.display_name}</bdi>
        </AnchorLink>
        <Text size="xs" c="dimmed" truncate>
          {describeReady(model, states)}
        </Text>
      </GridElement>
      {columns.map((column) => {
        const agent = agents[column.index]
        const place = column.index + 1
        return (
          agent && (
            <Cell
              key={column.key}
              status={known?.get(agent.agent_id)}
              isKnown={known !== undefined}
              size={model.file_size}
              row={row}
              column={place}
              isActive={active === place}
              start={column.start}
              width={column.size}
            />
          )
        )
      })}
    </>
  )
})

type ReplicaStatus = Pick<AgentState, 'state' | 'reason' | 'bytes_done'>

const READY: ReplicaStatus = { state: 'ready', reason: null, bytes_done: 0 }

function indexByMachine(states: ModelStates | undefined): Map<string, ReplicaStatus> | undefined {
  if (!states) return undefined
  const ready = states.ready.map((agent_id) => [agent_id, READY] as const)
  return new Map<string, ReplicaStatus>([
    ...ready,
    ...states.state_list.map((status) => [status.agent_id, status] as const),
  ])
}

function describeReady(model: Model, states: ModelStates | undefined): string {
  if (model.model_status === 'disabled') return 'Disabled'
  if (!states) return model.agents_desired ? `${model.agents_ready} of ${model.agents_desired}` : 'For no machine'
  const ready = states.ready.length + states.state_list.filter((status) => status.state === 'ready').length
  return `${ready} of ${states.ready.length + states.state_list.length}`
}

interface CellProps {
  status: ReplicaStatus | undefined
  isKnown: boolean
  size: number
  row: number
  column: number
  isActive: boolean
  start: number
  width: number
}

const Cell = memo(function Cell({ status, isKnown, size, row, column, isActive, start, width }: CellProps) {
  const description = status ? describeStatus(status, size) : isKnown ? 'Not desired on this machine' : 'Not known yet'
  const mark = status && getStateMark(status)
  return (
    <GridElement
      role="gridcell"
      aria-colindex={column + 1}
      aria-label={description}
      title={description}
      tabIndex={isActive ? 0 : -1}
      data-place={`${row}:${column}`}
      data-state={status?.state ?? 'none'}
      className={classes.cell}
      style={{ left: start, width }}
    >
      {mark ? (
        <mark.icon size={18} color={getTextColour(mark.colour)} aria-hidden />
      ) : (
        isKnown && <IconMinus size={14} color="var(--mantine-color-dimmed)" aria-hidden />
      )}
    </GridElement>
  )
})

/** `Downloading, 40 %. …`: the state, how far, and why. */
function describeStatus(status: ReplicaStatus, size: number): string {
  const percent =
    status.state !== 'ready' && status.bytes_done > 0 ? `, ${Math.floor((100 * status.bytes_done) / size)} %` : ''
  return [`${STATE_MARKS[status.state].label}${percent}`, status.reason].filter(Boolean).join('. ')
}
