// One row of the matrix: a model on all visible machines.

import { Text } from '@mantine/core'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo, useMemo } from 'react'
import type { Agent, AgentState, Model, ModelStates } from '@/api/types'
import { formatBaseModel } from '@/components/baseModel'
import { describeUnloaded } from '@/components/isLoaded'
import { AnchorLink } from '@/components/links'
import { ModelPicture } from '@/components/ModelPicture'
import { STATE_MARKS } from '@/components/statusMarks'
import { CellMark, getCellState } from '@/features/machines/matrix/CellMark'
import { GridElement } from '@/features/machines/matrix/GridElement'
import classes from '@/features/machines/matrix/matrix.module.css'
import { isDamaged, isKeptToConvert } from '@/features/models/refusals'

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
  /** Cells have room for a percentage. */
  isWide: boolean
}

export const MatrixRow = memo(function Row(props: MatrixRowProps) {
  const { model, states, agents, columns, row, active, first, isWide } = props
  const known = useMemo(() => indexByMachine(states), [states])
  const absence = known ? 'Not sent to this machine' : (explainUnsent(model) ?? UNKNOWN)
  return (
    <>
      <GridElement role="rowheader" aria-colindex={1} className={classes.first} style={{ width: first }}>
        <span className={classes.picture}>
          <ModelPicture model={model} isSmall />
        </span>
        <div className={classes.names}>
          <AnchorLink
            to="/models"
            search={{ model: model.id }}
            size="sm"
            truncate
            display="block"
            c="inherit"
            fw={500}
            title={model.model_path}
            data-place={`${row}:0`}
            tabIndex={active === 0 ? 0 : -1}
          >
            <bdi>{model.display_name}</bdi>
          </AnchorLink>
          <Text size="xs" c="dimmed" truncate>
            {[formatBaseModel(model), describeReady(model, states)].filter(Boolean).join(' · ')}
          </Text>
        </div>
      </GridElement>
      {columns.map((column) => {
        const agent = agents[column.index]
        const place = column.index + 1
        return (
          agent && (
            <Cell
              key={column.key}
              status={known?.get(agent.agent_id)}
              absence={absence}
              size={model.file_size}
              isOffline={agent.machine_state === 'offline'}
              row={row}
              column={place}
              isActive={active === place}
              start={column.start}
              width={column.size}
              isWide={isWide}
            />
          )
        )
      })}
    </>
  )
})

const UNKNOWN = 'Not known yet'

/** Why no machine gets a model, of which the registry then has no states. */
function explainUnsent(model: Model): string | undefined {
  if (model.model_status === 'disabled') return 'Not sent: disabled'
  if (isKeptToConvert(model)) return 'Not sent: kept to be converted'
  if (model.verification === 'failed' && !isDamaged(model)) return 'Not sent: verification failed'
  return undefined
}

type ReplicaStatus = Pick<AgentState, 'state' | 'reason' | 'bytes_done' | 'pinned_version'>

const READY: ReplicaStatus = { state: 'ready', reason: null, bytes_done: 0, pinned_version: null }

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
  const present = states.state_list.filter(({ state }) => state === 'ready')
  const ready = states.ready.length + present.length
  return `${ready} of ${states.ready.length + states.state_list.length}${describeUnloaded(present)}`
}

interface CellProps {
  status: ReplicaStatus | undefined
  /** What a cell without a state says. */
  absence: string
  size: number
  /** The machine does not answer: what it had begun does not go on. */
  isOffline: boolean
  row: number
  column: number
  isActive: boolean
  start: number
  width: number
  isWide: boolean
}

const Cell = memo(function Cell(props: CellProps) {
  const { status, absence, size, isOffline, row, column, isActive, start, width, isWide } = props
  const state = status && getCellState(status, isOffline)
  const description = status ? describeStatus(status, size) : absence
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
      {state && <CellMark state={state} />}
      {isWide && state === 'syncing' && status && <span className={classes.percent}>{getPercent(status, size)}</span>}
      {!status && absence === UNKNOWN && <span className={classes.unknown} aria-hidden />}
    </GridElement>
  )
})

/** `Downloading, 40 %. …`: the state, how far, and why. */
function describeStatus(status: ReplicaStatus, size: number): string {
  const percent = getPercent(status, size)
  const pinned = status.pinned_version === null ? '' : `version ${status.pinned_version}, which a collection pins`
  const state = [STATE_MARKS[status.state].label, pinned, percent].filter(Boolean).join(', ')
  return [state, status.reason].filter(Boolean).join('. ')
}

/** `40 %` of a model's bytes; nothing before the first byte or once it is ready. */
function getPercent({ state, bytes_done }: ReplicaStatus, size: number): string {
  return state !== 'ready' && bytes_done > 0 ? `${Math.min(100, Math.floor((100 * bytes_done) / size))} %` : ''
}
