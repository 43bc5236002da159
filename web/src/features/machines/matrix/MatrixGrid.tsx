// The grid of the matrix, virtualised in both directions; header row and first column are sticky.

import { Text } from '@mantine/core'
import { useElementSize, useMediaQuery } from '@mantine/hooks'
import { defaultRangeExtractor, type Range, useVirtualizer } from '@tanstack/react-virtual'
import { type SyntheticEvent, useCallback, useEffect, useState } from 'react'
import { isUnreachable } from '@/api/problem'
import type { Agent, Model } from '@/api/types'
import { StaleDataNotice } from '@/components/placeholders'
import { GridElement } from '@/features/machines/matrix/GridElement'
import { MachineHeaders } from '@/features/machines/matrix/MachineHeaders'
import { MatrixRow } from '@/features/machines/matrix/MatrixRow'
import classes from '@/features/machines/matrix/matrix.module.css'
import { useStates } from '@/features/machines/matrix/queries'
import { type CellPosition, getPosition, useGridNavigation } from '@/features/machines/matrix/useGridNavigation'

const ROW = 44
/** Widths of a column: with the machine's name upright, and across where all machines fit. */
const COLUMN = { narrow: 40, wide: 108 }
// Header height for names across, and for short and long upright ones; longer names are truncated.
const HEAD = { wide: 56, least: 80, most: 200, letter: 9, mark: 40 }

interface MatrixGridProps {
  models: Model[]
  agents: Agent[]
  /** How many machines the team has, with those that are not shown. */
  machines: number
  hasMore: boolean
  onMore: () => void
}

export function MatrixGrid({ models, agents, machines, hasMore, onMore }: MatrixGridProps) {
  const first = useMediaQuery('(max-width: 48em)') ? 150 : 280
  const room = useElementSize()
  const isWide = room.width >= first + agents.length * COLUMN.wide
  const head = isWide ? HEAD.wide : getHeaderHeight(agents)
  const [pointedText, setPointedText] = useState('')
  const size = { rows: models.length + 1, columns: agents.length + 1, page: 10 }
  const navigation = useGridNavigation(size, (place) => {
    if (place.row > 0) rows.scrollToIndex(place.row - 1)
    if (place.column > 0) columns.scrollToIndex(place.column - 1)
  })
  const { active } = navigation
  const rows = useVirtualizer({
    count: models.length,
    getScrollElement: () => navigation.grid.current,
    estimateSize: () => ROW,
    paddingStart: head,
    scrollPaddingStart: head,
    overscan: 6,
    rangeExtractor: useRangeWithActive(active.row - 1),
  })
  const columns = useVirtualizer({
    horizontal: true,
    count: agents.length,
    getScrollElement: () => navigation.grid.current,
    estimateSize: () => (isWide ? COLUMN.wide : COLUMN.narrow),
    paddingStart: first,
    scrollPaddingStart: first,
    overscan: 4,
    rangeExtractor: useRangeWithActive(active.column - 1),
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: sizes are kept until measure() is called
  useEffect(() => columns.measure(), [columns, isWide])
  const seen = rows.range ?? { startIndex: 0, endIndex: 0 }
  const { states, error } = useStates(models, seen.startIndex, seen.endIndex, machines)
  useEffect(() => {
    if (hasMore && seen.endIndex >= models.length - 20) onMore()
  }, [hasMore, seen.endIndex, models.length, onMore])

  const shown = columns.getVirtualItems()
  const width = columns.getTotalSize()
  const point = (event: SyntheticEvent) => setPointedText(describeCell(event, models, agents))
  return (
    <div ref={room.ref}>
      {error && !isUnreachable(error) && <StaleDataNotice error={error} />}
      <GridElement
        ref={navigation.grid}
        role="grid"
        aria-label="Models and machines"
        aria-rowcount={hasMore ? -1 : models.length + 1}
        aria-colcount={agents.length + 1}
        aria-readonly
        className={classes.grid}
        onKeyDown={navigation.onKeyDown}
        onFocus={(event) => {
          navigation.onFocus(event)
          point(event)
        }}
        onMouseOver={point}
      >
        <div className={classes.canvas} style={{ minWidth: width, height: rows.getTotalSize() }} role="presentation">
          <GridElement role="row" aria-rowindex={1} className={classes.head} style={{ height: head }}>
            <GridElement role="columnheader" aria-colindex={1} className={classes.first} style={{ width: first }}>
              Model
            </GridElement>
            <MachineHeaders
              agents={agents}
              columns={shown}
              isWide={isWide}
              active={active.row === 0 ? active.column : undefined}
            />
          </GridElement>
          {rows.getVirtualItems().map((item) => {
            const model = models[item.index]
            const row = item.index + 1
            return (
              model && (
                <GridElement
                  key={model.id}
                  role="row"
                  aria-rowindex={row + 1}
                  className={classes.row}
                  style={{ top: item.start, height: item.size }}
                >
                  <MatrixRow
                    model={model}
                    states={states.get(model.id)}
                    agents={agents}
                    columns={shown}
                    row={row}
                    active={active.row === row ? active.column : undefined}
                    first={first}
                    isWide={isWide}
                  />
                </GridElement>
              )
            )
          })}
        </div>
      </GridElement>
      <Text size="sm" mt="xs" mih="1.6em" truncate aria-hidden>
        {pointedText}
      </Text>
    </div>
  )
}

function getHeaderHeight(agents: Agent[]): number {
  const longest = Math.max(0, ...agents.map((agent) => agent.agent_id.length))
  return Math.min(HEAD.most, Math.max(HEAD.least, HEAD.mark + HEAD.letter * longest))
}

/**
 * Return a range extractor that keeps the focused cell rendered when it is scrolled out of view.
 *
 * The function is memoised, because a new one would render every visible row again.
 */
function useRangeWithActive(active: number): (range: Range) => number[] {
  return useCallback(
    (range) => {
      const indexes = defaultRangeExtractor(range)
      if (active < 0 || active >= range.count || indexes.includes(active)) return indexes
      return [...indexes, active].sort((one, other) => one - other)
    },
    [active],
  )
}

/** Describe a cell in one line, for people who cannot see tooltips. */
function describeCell(event: SyntheticEvent, models: Model[], agents: Agent[]): string {
  const place: CellPosition | undefined = getPosition(event.target)
  const model = models[(place?.row ?? 0) - 1]
  const agent = agents[(place?.column ?? 0) - 1]
  const words = event.target instanceof Element ? event.target.closest('[data-place]')?.getAttribute('aria-label') : ''
  if (model && agent) return `${model.display_name} on ${agent.agent_id}: ${words}`
  return model ? model.model_path : agent ? (words ?? '') : ''
}
