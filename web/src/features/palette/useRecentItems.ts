// What was opened last, as entries of the palette. Models and machines that no longer exist are removed from the list.

import { useQueries } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type Opened, readOpened, removeOpened } from '@/components/opened'
import type { MachineList } from '@/features/machines/useMachines'
import { isNotFound, readModel } from '@/features/models/queries'
import { describeModel, machineItem, modelItem, type PaletteItem } from '@/features/palette/items'

const FRESH_MILLISECONDS = 30_000

/** Return the entries once all of them are loaded: entries that come one by one would move the others. */
export function useRecentItems({ agents, error }: MachineList): PaletteItem[] | undefined {
  const [opened] = useState(readOpened)
  const ids = opened.filter(({ kind }) => kind === 'model').map(({ id }) => id)
  const models = useQueries({
    queries: ids.map((id) => ({
      queryKey: ['models', 'one', id],
      queryFn: ({ signal }: { signal: AbortSignal }) => readModel(id, signal),
      staleTime: FRESH_MILLISECONDS,
      retry: false,
    })),
  })
  const isGone = ({ kind, id }: Opened) =>
    kind === 'model'
      ? isNotFound(models[ids.indexOf(id)]?.error ?? undefined)
      : agents?.every(({ agent_id }) => agent_id !== id)
  const gone = JSON.stringify(opened.filter(isGone))
  useEffect(() => {
    for (const one of JSON.parse(gone) as Opened[]) removeOpened(one)
  }, [gone])
  const areMachinesLoaded = ids.length === opened.length || agents !== undefined || error !== null
  if (!areMachinesLoaded || models.some(({ isPending }) => isPending)) return undefined
  const toItem = ({ kind, id }: Opened): PaletteItem | undefined => {
    const agent = kind === 'machine' ? agents?.find(({ agent_id }) => agent_id === id) : undefined
    const query = kind === 'model' ? models[ids.indexOf(id)] : undefined
    const model = query?.isError ? undefined : query?.data?.model
    if (model && !model.deleted_at) return modelItem(model, describeModel(model))
    return agent && machineItem(agent)
  }
  return opened.map(toItem).filter((item) => item !== undefined)
}
