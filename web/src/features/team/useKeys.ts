// Query of the keys that the user can see.

import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { readAllPages } from '@/api/readAllPages'
import type { Credential } from '@/api/types'
import { MAX_PAGE_ROWS } from '@/generated/paging'

export const KEYS_QUERY_KEY = ['credentials']

export function useKeys(kind: Credential['kind'] | undefined) {
  return useQuery({ queryKey: [...KEYS_QUERY_KEY, kind], queryFn: () => readKeys(kind) })
}

/** Return whether a key is active or stopped; a stopped key works again after rotation. */
export function isUsable(key: Credential): boolean {
  return key.key_status === 'active' || key.key_status === 'stopped'
}

async function readKeys(kind: Credential['kind'] | undefined): Promise<Credential[]> {
  const pages = await readAllPages((cursor) => {
    const query = { cursor, per_page: MAX_PAGE_ROWS, ...(kind && { kind }) }
    return unwrap(api.GET('/api/v1/credentials', { params: { query } }))
  })
  return pages.flatMap((page) => page.credentials)
}
