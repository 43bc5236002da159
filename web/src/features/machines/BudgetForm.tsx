// Sets the disk budget of a machine, and says what the machine would evict for it.

import { Button, Group, NumberInput, Stack, Text } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import type { Agent } from '@/api/types'
import { formatBytes, formatCount, formatDateTime } from '@/components/format'
import { setBudget } from '@/features/machines/actions'

const GB = 1e9
const PAUSE_MILLISECONDS = 300

export function BudgetForm({ agent }: { agent: Agent }) {
  const saved = agent.disk_budget_bytes === null ? '' : agent.disk_budget_bytes / GB
  const [typed, setTyped] = useState<number | string>(saved)
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)
  const budget = typeof typed === 'number' && typed > 0 ? Math.round(typed * GB) : null
  const isChanged = budget !== agent.disk_budget_bytes
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setRefusal('')
    try {
      await setBudget(agent, budget)
    } catch (error) {
      setRefusal(asProblem(error).message)
    }
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack gap="xs" align="flex-start">
        <NumberInput
          w="100%"
          label="Disk budget"
          description="The machine evicts the least recently used models that are not assigned to it. Empty: no budget."
          suffix=" GB"
          min={0}
          decimalScale={1}
          value={typed}
          onChange={setTyped}
          error={refusal}
        />
        {isChanged && budget !== null && <Preview agent={agent} budget={budget} />}
        {isChanged && (
          <Group gap="xs">
            <Button type="submit" size="xs" loading={isBusy}>
              {budget === null ? 'Remove budget' : 'Save budget'}
            </Button>
            <Button size="xs" variant="default" onClick={() => setTyped(saved)}>
              Cancel
            </Button>
          </Group>
        )}
      </Stack>
    </form>
  )
}

const MAX_NAMED = 5

/** What the budget would evict, by the machine's last report. */
function Preview({ agent, budget: typed }: { agent: Agent; budget: number }) {
  const [budget] = useDebouncedValue(typed, PAUSE_MILLISECONDS)
  const { data } = useQuery({
    queryKey: ['machines', agent.agent_id, 'evictions', budget],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/agents/{agent_id}/evictions', {
          params: { path: { agent_id: agent.agent_id }, query: { disk_budget_bytes: budget } },
          signal,
        }),
      ),
  })
  if (!data || budget !== typed) return null
  const { evicted_count: count } = data
  const named = data.evicted_list.slice(0, MAX_NAMED)
  return (
    <Text size="sm" role="status">
      {data.evicts_from !== null &&
        `The machine evicts nothing that it has before ${formatDateTime(data.evicts_from)}, since it has counted use for less than a week. `}
      {!data.counts_use
        ? 'This machine does not count use, so it evicts nothing, and downloads stop at the budget.'
        : count === 0
          ? 'Nothing is evicted.'
          : `${data.evicts_from === null ? 'Evicts' : 'Would evict'} ${formatCount(count, 'model')}, which frees ${formatBytes(data.freed_bytes)}: `}
      {data.counts_use && named.map(({ display_name }) => display_name).join(', ')}
      {data.counts_use && count > MAX_NAMED && ', …'}
      {data.away_count > 0 && ` Not held already, evicted or never fetched: ${formatCount(data.away_count, 'model')}.`}
    </Text>
  )
}
