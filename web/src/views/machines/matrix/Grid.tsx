// The table itself: only what is seen is there, in both directions; the head and the first column stay in sight.

import { Text } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { defaultRangeExtractor, type Range, useVirtualizer } from '@tanstack/react-virtual'
import { type SyntheticEvent, useCallback, useEffect, useState } from 'react'
import type { Agent, Model } from '@/api/types'
import { Heads } from '@/views/machines/matrix/Heads'
import classes from '@/views/machines/matrix/matrix.module.css'
import { type Place, placeOf, useMoving } from '@/views/machines/matrix/moving'
import { Part } from '@/views/machines/matrix/Part'
import { Row } from '@/views/machines/matrix/Row'
import { useStates } from '@/views/machines/matrix/rows'

const ROW = 44
const COLUMN = 40
// For a short name and for a long one; what does not fit ends in an ellipsis.
const HEAD = { least: 80, most: 200, letter: 9, mark: 40 }

interface Asked {
  models: Model[]
  agents: Agent[]
  hasMore: boolean
  more: () => void
}

export function Grid({ models, agents, hasMore, more }: Asked) {
  const head = headFor(agents)
  const first = useMediaQuery('(max-width: 48em)') ? 150 : 280
  const [pointed, setPointed] = useState('')
  const size = { rows: models.length + 1, columns: agents.length + 1, page: 10 }
  const moving = useMoving(size, (place) => {
    if (place.row > 0) rows.scrollToIndex(place.row - 1)
    if (place.column > 0) columns.scrollToIndex(place.column - 1)
  })
  const { active } = moving
  const rows = useVirtualizer({
    count: models.length,
    getScrollElement: () => moving.grid.current,
    estimateSize: () => ROW,
    paddingStart: head,
    scrollPaddingStart: head,
    overscan: 6,
    rangeExtractor: useWithActive(active.row - 1),
  })
  const columns = useVirtualizer({
    horizontal: true,
    count: agents.length,
    getScrollElement: () => moving.grid.current,
    estimateSize: () => COLUMN,
    paddingStart: first,
    scrollPaddingStart: first,
    overscan: 4,
    rangeExtractor: useWithActive(active.column - 1),
  })
  const seen = rows.range ?? { startIndex: 0, endIndex: 0 }
  const states = useStates(models, seen.startIndex, seen.endIndex)
  useEffect(() => {
    if (hasMore && seen.endIndex >= models.length - 20) more()
  }, [hasMore, seen.endIndex, models.length, more])

  const shown = columns.getVirtualItems()
  const width = columns.getTotalSize()
  const point = (event: SyntheticEvent) => setPointed(said(event, models, agents))
  return (
    <>
      <Part
        ref={moving.grid}
        role="grid"
        aria-label="Models and machines"
        aria-rowcount={hasMore ? -1 : models.length + 1}
        aria-colcount={agents.length + 1}
        aria-readonly
        className={classes.grid}
        onKeyDown={moving.onKeyDown}
        onFocus={(event) => {
          moving.onFocus(event)
          point(event)
        }}
        onMouseOver={point}
      >
        <div className={classes.canvas} style={{ minWidth: width, height: rows.getTotalSize() }} role="presentation">
          <Part role="row" aria-rowindex={1} className={classes.head} style={{ height: head }}>
            <Part role="columnheader" aria-colindex={1} className={classes.first} style={{ width: first }}>
              Model
            </Part>
            <Heads agents={agents} columns={shown} active={active.row === 0 ? active.column : undefined} />
          </Part>
          {rows.getVirtualItems().map((item) => {
            const model = models[item.index]
            const row = item.index + 1
            return (
              model && (
                <Part
                  key={model.id}
                  role="row"
                  aria-rowindex={row + 1}
                  className={classes.row}
                  style={{ top: item.start, height: item.size }}
                >
                  <Row
                    model={model}
                    states={states.get(model.id)}
                    agents={agents}
                    columns={shown}
                    row={row}
                    active={active.row === row ? active.column : undefined}
                    first={first}
                  />
                </Part>
              )
            )
          })}
        </div>
      </Part>
      <Text size="sm" mt="xs" mih="1.6em" truncate aria-hidden>
        {pointed}
      </Text>
    </>
  )
}

function headFor(agents: Agent[]): number {
  const longest = Math.max(0, ...agents.map((agent) => agent.agent_id.length))
  return Math.min(HEAD.most, Math.max(HEAD.least, HEAD.mark + HEAD.letter * longest))
}

/**
 * The cell that has the focus stays, also where it is out of sight.
 *
 * The same function as long as the cell is the same: with another one, each row that is seen would be drawn anew.
 */
function useWithActive(active: number): (range: Range) => number[] {
  return useCallback(
    (range) => {
      const indexes = defaultRangeExtractor(range)
      if (active < 0 || active >= range.count || indexes.includes(active)) return indexes
      return [...indexes, active].sort((one, other) => one - other)
    },
    [active],
  )
}

/** What a cell says, in a whole line, for those who see no tooltip. */
function said(event: SyntheticEvent, models: Model[], agents: Agent[]): string {
  const place: Place | undefined = placeOf(event.target)
  const model = models[(place?.row ?? 0) - 1]
  const agent = agents[(place?.column ?? 0) - 1]
  const words = event.target instanceof Element ? event.target.closest('[data-place]')?.getAttribute('aria-label') : ''
  if (model && agent) return `${model.display_name} on ${agent.agent_id}: ${words}`
  return model ? model.model_path : agent ? (words ?? '') : ''
}
