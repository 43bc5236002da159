// The matrix of models and machines with the state of each replica.

import { Group, Text } from '@mantine/core'
import { useCallback } from 'react'
import type { Agent } from '@/api/types'
import { formatCount } from '@/components/format'
import { MACHINE_STATE_MARKS } from '@/components/MachineState'
import { Empty, LoadError, Loading } from '@/components/placeholders'
import { CellMark } from '@/features/machines/matrix/CellMark'
import { MatrixGrid } from '@/features/machines/matrix/MatrixGrid'
import classes from '@/features/machines/matrix/matrix.module.css'
import { useRows } from '@/features/machines/matrix/queries'
import type { MachineSearch } from '@/features/machines/search'
import { MACHINE_STATES } from '@/generated/states'

interface MatrixProps {
  search: MachineSearch
  agents: Agent[]
  /** How many machines the team has, with those that are not shown. */
  machines: number
}

export function Matrix({ search, agents, machines }: MatrixProps) {
  const { models, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useRows(search)
  const more = useCallback(() => {
    if (!isFetchingNextPage) void fetchNextPage()
  }, [isFetchingNextPage, fetchNextPage])
  if (!models)
    return error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading models" />
  if (agents.length === 0) return <Empty title="No machines match">Change or clear the filters.</Empty>
  if (models.length === 0) return <NoModels search={search} />
  return (
    <>
      <Group justify="space-between" gap="xs" mb="xs">
        <Text size="sm" c="dimmed" role="status">
          {hasNextPage ? 'More than ' : ''}
          {formatCount(models.length, 'model')} on {formatCount(agents.length, 'machine')}
        </Text>
        <Legend />
      </Group>
      <MatrixGrid models={models} agents={agents} machines={machines} hasMore={hasNextPage} onMore={more} />
    </>
  )
}

function NoModels({ search }: { search: MachineSearch }) {
  if (search.q) return <Empty title="No models match">Change or clear the search.</Empty>
  if (search.missing)
    return <Empty title="No models are missing">Each machine has all the models that it should have.</Empty>
  return <Empty title="No models yet">Each model of the team will appear here as a row.</Empty>
}

function Legend() {
  return (
    <ul className={classes.legend} aria-label="What the symbols mean">
      {MACHINE_STATES.map((state) => (
        <li key={state}>
          <CellMark state={state} /> {MACHINE_STATE_MARKS[state].label}
        </li>
      ))}
      <li>Blank: not sent here</li>
    </ul>
  )
}
