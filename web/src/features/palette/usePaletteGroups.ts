// The groups of the palette for what is typed.

import { useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { useCollections } from '@/features/collections/queries'
import { useMachines } from '@/features/machines/useMachines'
import {
  actionItem,
  buildActions,
  collectionItem,
  describeModel,
  machineItem,
  matchesWords,
  modelItem,
  type PaletteGroup,
  type PaletteItem,
  personItem,
} from '@/features/palette/items'
import { useRecentItems } from '@/features/palette/useRecentItems'
import { useMembers } from '@/features/team/members'

const PAUSE_MILLISECONDS = 80
const MAX_MODELS = 6
const MAX_OTHERS = 4

/** Return the groups; undefined while what was opened last, which comes first, is loaded. */
export function usePaletteGroups(typed: string, showKeys: () => void): PaletteGroup[] | undefined {
  const { may } = usePermissions()
  const models = useMatchingModels(typed)
  const machines = useMachines()
  const recent = useRecentItems(machines)
  const { data: members = [] } = useMembers()
  const { data: collections = [] } = useCollections()
  const { setColorScheme } = useMantineColorScheme()
  const isDark = useComputedColorScheme('light') === 'dark'
  const actions = buildActions({ toggleColours: () => setColorScheme(isDark ? 'light' : 'dark'), showKeys })
  const found = <Item>(items: readonly Item[], text: (item: Item) => string): Item[] =>
    typed ? items.filter((item) => matchesWords(typed, text(item))).slice(0, MAX_OTHERS) : []
  if (!typed && !recent) return undefined
  const shown = typed ? [] : (recent ?? [])
  const isShown = ({ id }: PaletteItem) => shown.some((item) => item.id === id)
  const groups = [
    { title: 'Recent', items: shown },
    {
      title: typed ? 'Models' : 'Newest models',
      items: models.map((model) => modelItem(model, describeModel(model))).filter((item) => !isShown(item)),
    },
    { title: 'Machines', items: found(machines.agents ?? [], ({ agent_id }) => agent_id).map(machineItem) },
    { title: 'Collections', items: found(collections, ({ name }) => name).map(collectionItem) },
    {
      title: 'People',
      items: found(members, (member) => `${member.display_name} ${member.email_address}`).map(personItem),
    },
    {
      title: 'Actions',
      items: actions
        .filter(({ needs }) => !needs || may(needs))
        .filter(({ label, words }) => matchesWords(typed, label, words ?? ''))
        .map(actionItem),
    },
  ]
  return groups.filter(({ items }) => items.length > 0)
}

/** Return the models that match, or the newest. */
function useMatchingModels(typed: string): Model[] {
  const [q] = useDebouncedValue(typed, PAUSE_MILLISECONDS)
  const { data, isPlaceholderData } = useQuery({
    queryKey: ['models', 'palette', q],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET('/api/v1/models', { params: { query: { ...(q && { q }), cursor: '', per_page: MAX_MODELS } }, signal }),
      ),
    placeholderData: keepPreviousData,
    retry: false,
  })
  const models = data?.model_list ?? []
  // Until the answer is there, Enter must not open a model of what was typed before.
  if (q === typed && !isPlaceholderData) return models
  return models.filter((model) => matchesWords(typed, model.display_name, model.model_path))
}
