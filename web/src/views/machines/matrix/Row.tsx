// One model on all machines that are seen.

import { Text } from '@mantine/core'
import { IconMinus } from '@tabler/icons-react'
import type { VirtualItem } from '@tanstack/react-virtual'
import { memo, useMemo } from 'react'
import type { Agent, AgentState, Model, ModelStates } from '@/api/types'
import { AnchorLink } from '@/parts/links'
import { markOf, readable, STATE } from '@/parts/marks'
import classes from '@/views/machines/matrix/matrix.module.css'
import { Part } from '@/views/machines/matrix/Part'

interface Shown {
  model: Model
  states: ModelStates | undefined
  agents: Agent[]
  columns: VirtualItem[]
  /** In the grid, from 1. */
  row: number
  /** The column that is in the order of tabs, if it is in this row. */
  active: number | undefined
  first: number
}

export const Row = memo(function Row({ model, states, agents, columns, row, active, first }: Shown) {
  const known = useMemo(() => byMachine(states), [states])
  return (
    <>
      <Part role="rowheader" aria-colindex={1} className={classes.first} style={{ width: first }}>
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
          {standing(model, states)}
        </Text>
      </Part>
      {columns.map((column) => {
        const agent = agents[column.index]
        const place = column.index + 1
        return (
          agent && (
            <Cell
              key={column.key}
              said={known?.get(agent.agent_id)}
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

type Said = Pick<AgentState, 'state' | 'reason' | 'bytes_done'>

const READY: Said = { state: 'ready', reason: null, bytes_done: 0 }

function byMachine(states: ModelStates | undefined): Map<string, Said> | undefined {
  if (!states) return undefined
  const ready = states.ready.map((agent_id) => [agent_id, READY] as const)
  return new Map<string, Said>([...ready, ...states.state_list.map((said) => [said.agent_id, said] as const)])
}

function standing(model: Model, states: ModelStates | undefined): string {
  if (model.model_status === 'disabled') return 'Disabled'
  if (!states) return model.agents_wanted ? `${model.agents_ready} of ${model.agents_wanted}` : 'For no machine'
  const ready = states.ready.length + states.state_list.filter((said) => said.state === 'ready').length
  return `${ready} of ${states.ready.length + states.state_list.length}`
}

interface OneCell {
  said: Said | undefined
  isKnown: boolean
  size: number
  row: number
  column: number
  isActive: boolean
  start: number
  width: number
}

const Cell = memo(function Cell({ said, isKnown, size, row, column, isActive, start, width }: OneCell) {
  const words = said ? wordsOf(said, size) : isKnown ? 'Not for this machine' : 'Not known yet'
  const mark = said && markOf(said)
  return (
    <Part
      role="gridcell"
      aria-colindex={column + 1}
      aria-label={words}
      title={words}
      tabIndex={isActive ? 0 : -1}
      data-place={`${row}:${column}`}
      data-state={said?.state ?? 'none'}
      className={classes.cell}
      style={{ left: start, width }}
    >
      {mark ? (
        <mark.icon size={18} color={readable(mark.colour)} aria-hidden />
      ) : (
        isKnown && <IconMinus size={14} color="var(--mantine-color-dimmed)" aria-hidden />
      )}
    </Part>
  )
})

/** `Downloading, 40 %. …`: the state, how far, and why. */
function wordsOf(said: Said, size: number): string {
  const percent =
    said.state !== 'ready' && said.bytes_done > 0 ? `, ${Math.floor((100 * said.bytes_done) / size)} %` : ''
  return [`${STATE[said.state].word}${percent}`, said.reason].filter(Boolean).join('. ')
}
