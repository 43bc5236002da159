// The team's machines, polled every two seconds and rendered again only if something has changed.

import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { api } from '@/api/client'
import { ifNoneMatch, liveQueryOptions, readTagged, type Tagged } from '@/api/polling'
import { queryClient } from '@/api/queryClient'
import type { Agent, AgentPage } from '@/api/types'
import type { MachineSearch } from '@/features/machines/search'
import { MAX_PAGE_ROWS } from '@/generated/paging'

const QUERY_KEY = ['fleet']

type Page = Tagged<AgentPage>

export interface MachineList {
  agents: Agent[] | undefined
  error: unknown
  /** The last refresh failed, so the data may be outdated. */
  isStale: boolean
  retry: () => void
}

export function useMachines(): MachineList {
  const { data, error, refetch } = useQuery({ queryKey: QUERY_KEY, queryFn: readMachines, ...liveQueryOptions })
  const agents = useMemo(() => data && mergePages(data), [data])
  return { agents, error, isStale: error !== null && data !== undefined, retry: () => void refetch() }
}

/** Refresh the list after a change. */
export function refreshMachines(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: QUERY_KEY })
}

async function readMachines(): Promise<Page[]> {
  const known = queryClient.getQueryData<Page[]>(QUERY_KEY) ?? []
  const first = await readPage(1, known[0])
  const pages = Math.ceil((first.body.page_meta.total_count ?? 0) / MAX_PAGE_ROWS)
  const others = Array.from({ length: Math.max(0, pages - 1) }, (_, index) => readPage(index + 2, known[index + 1]))
  const all = [first, ...(await Promise.all(others))]
  const isSame = all.length === known.length && all.every((page, index) => page === known[index])
  return isSame ? known : all
}

function readPage(current_page: number, known: Page | undefined): Promise<Page> {
  const query = { current_page, per_page: MAX_PAGE_ROWS }
  return readTagged(api.GET('/api/v1/agents', { params: { query, header: ifNoneMatch(known) } }), known)
}

/** All machines by name. A machine that is added while pages are read may be on two of them. */
function mergePages(pages: Page[]): Agent[] {
  const agents = pages.flatMap((page) => page.body.agent_list)
  return [...new Map(agents.map((agent) => [agent.agent_id, agent])).values()]
}

export function filterMachines(agents: Agent[], { q, label, status }: MachineSearch): Agent[] {
  const words = (q ?? '').toLowerCase().split(/\s+/).filter(Boolean)
  return agents.filter(
    (agent) =>
      (!label || agent.agent_labels.includes(label)) &&
      (!status || agent.machine_state === status) &&
      words.every((word) => getSearchText(agent).includes(word)),
  )
}

function getSearchText(agent: Agent): string {
  return [agent.agent_id, agent.waiting_for, agent.sync_detail, ...agent.agent_labels].join(' ').toLowerCase()
}

/** Return the labels set on the machine and those set by the team. */
export function splitLabels(agent: Agent): { own: string[]; central: string[] } {
  const central = agent.central_labels
  return { own: agent.agent_labels.filter((label) => !central.includes(label)), central }
}

/** Return that some of these own labels do not count for collections, to be added to a sentence; '' if all count. */
export function describeIgnored({ ignored_labels = [] }: Agent, own: string[]): string {
  const ignored = own.filter((label) => ignored_labels.includes(label))
  return ignored.length > 0
    ? ` (not for collections, since the machine's key is a viewer's: ${ignored.join(', ')})`
    : ''
}
