// The team's keys, as far as one may see them.

import { useQuery } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import type { Credential } from '@/api/types'
import { everyPage } from '@/parts/everyPage'

export const KEYS = ['credentials']

export function useKeys(kind: Credential['kind'] | undefined) {
  return useQuery({ queryKey: [...KEYS, kind], queryFn: () => readKeys(kind) })
}

async function readKeys(kind: Credential['kind'] | undefined): Promise<Credential[]> {
  const pages = await everyPage((cursor) => {
    const query = { cursor, per_page: 100, ...(kind && { kind }) }
    return answered(api.GET('/api/v1/credentials', { params: { query } }))
  })
  return pages.flatMap((page) => page.credentials)
}
