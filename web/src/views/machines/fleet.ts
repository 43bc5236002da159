// The team's machines as they are now: asked for every two seconds, and shown anew only where something has changed.

import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { api } from '@/api/client'
import type { Agent } from '@/api/types'
import { live, type Tagged, tagged, unless } from '@/api/unchanged'
import { queries } from '@/app/queries'
import type { MachineSearch } from '@/views/machines/search'

const KEY = ['fleet']
const PER_PAGE = 100

type Page = Tagged<{ agent_list: Agent[]; page_meta: { total_count?: number | null } }>

export interface Fleet {
  agents: Agent[] | undefined
  error: unknown
  /** What is shown is from before the registry stopped to answer. */
  isOld: boolean
  again: () => void
}

export function useFleet(): Fleet {
  const { data, error, refetch } = useQuery({ queryKey: KEY, queryFn: readFleet, ...live })
  const agents = useMemo(() => data && flat(data), [data])
  return { agents, error, isOld: error !== null && data !== undefined, again: () => void refetch() }
}

/** Show at once what was just changed. */
export function lookAgain(): Promise<void> {
  return queries.invalidateQueries({ queryKey: KEY })
}

async function readFleet(): Promise<Page[]> {
  const known = queries.getQueryData<Page[]>(KEY) ?? []
  const first = await readPage(1, known[0])
  const pages = Math.ceil((first.body.page_meta.total_count ?? 0) / PER_PAGE)
  const others = Array.from({ length: Math.max(0, pages - 1) }, (_, index) => readPage(index + 2, known[index + 1]))
  const all = [first, ...(await Promise.all(others))]
  const isSame = all.length === known.length && all.every((page, index) => page === known[index])
  return isSame ? known : all
}

function readPage(current_page: number, known: Page | undefined): Promise<Page> {
  const query = { current_page, per_page: PER_PAGE }
  return tagged(api.GET('/api/v1/agents', { params: { query, header: unless(known) } }), known)
}

/** All machines by name. One that came while the pages were read may be on two of them. */
function flat(pages: Page[]): Agent[] {
  const agents = pages.flatMap((page) => page.body.agent_list)
  return [...new Map(agents.map((agent) => [agent.agent_id, agent])).values()]
}

export function matching(agents: Agent[], { q, label, status }: MachineSearch): Agent[] {
  const words = (q ?? '').toLowerCase().split(/\s+/).filter(Boolean)
  return agents.filter(
    (agent) =>
      (!label || agent.agent_labels.includes(label)) &&
      (!status || agent.agent_status === status) &&
      words.every((word) => saidOf(agent).includes(word)),
  )
}

function saidOf(agent: Agent): string {
  return [agent.agent_id, agent.waiting_for, agent.sync_detail, ...agent.agent_labels].join(' ').toLowerCase()
}

/** Those that the machine has by itself, and those that the team gave it. */
export function labelsOf(agent: Agent): { own: string[]; central: string[] } {
  const central = agent.central_labels
  return { own: agent.agent_labels.filter((label) => !central.includes(label)), central }
}
