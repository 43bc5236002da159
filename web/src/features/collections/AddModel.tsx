// Searches a model of the team and adds it to a collection.

import { Select } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import type { Collection, Model } from '@/api/types'
import { listEntries, mergeEntries } from '@/features/collections/entries'
import { changeModels } from '@/features/collections/mutations'
import { useChange } from '@/features/collections/useChange'
import { MAX_SEARCH_LENGTH } from '@/generated/fieldLimits'

const PAUSE_MILLISECONDS = 150
const MAX_SHOWN = 12

export function AddModel({ collection }: { collection: Collection }) {
  const [typed, setTyped] = useState('')
  const [isBusy, run] = useChange()
  const inCollection = new Set(collection.model_list.map(({ model_id }) => model_id))
  const { models, isLoading } = useFoundModels(typed)
  const shown = models.filter(({ id }) => !inCollection.has(id))
  const onChoose = (id: string | null) => {
    const model = shown.find((one) => one.id === id)
    if (!model) return
    setTyped('')
    run(() =>
      changeModels(collection, {
        models: mergeEntries(listEntries(collection.model_list), [{ model_id: model.id }]),
        message: `“${model.display_name}” was added to “${collection.name}”.`,
      }),
    )
  }
  return (
    <Select
      label="Add a model"
      placeholder="Name, path or hash"
      leftSection={<IconPlus size={16} aria-hidden />}
      maw={480}
      maxLength={MAX_SEARCH_LENGTH}
      searchable
      readOnly={isBusy}
      value={null}
      onChange={onChoose}
      searchValue={typed}
      onSearchChange={setTyped}
      // The registry has searched already, also by what the label does not show.
      filter={({ options }) => options}
      data={shown.map((model) => ({ value: model.id, label: `${model.display_name} · ${model.model_path}` }))}
      nothingFoundMessage={isLoading ? 'Searching…' : 'No other models match.'}
    />
  )
}

function useFoundModels(typed: string): { models: Model[]; isLoading: boolean } {
  const [q] = useDebouncedValue(typed.trim(), PAUSE_MILLISECONDS)
  const { data, isFetching } = useQuery({
    queryKey: ['models', 'to add', q],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models', { params: { query: { ...(q && { q }), cursor: '', per_page: MAX_SHOWN } }, signal }),
      ),
    placeholderData: keepPreviousData,
    retry: false,
  })
  return { models: data?.model_list ?? [], isLoading: isFetching || q !== typed.trim() }
}
