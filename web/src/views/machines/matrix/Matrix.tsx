// Which model is on which machine, and where one is missing.

import { Text } from '@mantine/core'
import { useCallback } from 'react'
import type { Agent } from '@/api/types'
import { NOT_LOADED, readable, STATE } from '@/parts/marks'
import { Empty, Failed, Loading } from '@/parts/states'
import { count } from '@/parts/words'
import { Grid } from '@/views/machines/matrix/Grid'
import classes from '@/views/machines/matrix/matrix.module.css'
import { useRows } from '@/views/machines/matrix/rows'
import type { MachineSearch } from '@/views/machines/search'

export function Matrix({ search, agents }: { search: MachineSearch; agents: Agent[] }) {
  const { models, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useRows(search)
  const more = useCallback(() => {
    if (!isFetchingNextPage) void fetchNextPage()
  }, [isFetchingNextPage, fetchNextPage])
  if (!models) return error ? <Failed error={error} again={() => void refetch()} /> : <Loading what="Loading models" />
  if (agents.length === 0) return <Empty title="No such machine">No machine fits these filters.</Empty>
  if (models.length === 0) return <Nothing search={search} />
  return (
    <>
      <Text size="sm" c="dimmed" role="status" mb="xs">
        {hasNextPage ? 'More than ' : ''}
        {count(models.length, 'model')} on {count(agents.length, 'machine')}
      </Text>
      <Grid models={models} agents={agents} hasMore={hasNextPage} more={more} />
      <Legend />
    </>
  )
}

function Nothing({ search }: { search: MachineSearch }) {
  if (search.q) return <Empty title="No such model">No model fits these words.</Empty>
  if (search.missing)
    return <Empty title="Everything is everywhere">Each machine has each model that it should have.</Empty>
  return <Empty title="No models yet">As soon as the team has models, each is a row here.</Empty>
}

function Legend() {
  return (
    <ul className={classes.legend} aria-label="What the symbols mean">
      {[...Object.values(STATE), NOT_LOADED].map((mark) => (
        <li key={mark.word} title={mark.meaning} style={{ display: 'flex', gap: 4, alignItems: 'center' }}>
          <mark.icon size={16} color={readable(mark.colour)} aria-hidden />
          <Text span size="xs">
            {mark.word}
          </Text>
        </li>
      ))}
    </ul>
  )
}
