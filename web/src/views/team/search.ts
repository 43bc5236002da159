// What the addresses of the history and of the keys say: their filters.

import type { Credential } from '@/api/types'

const NAMES = ['action', 'object_id', 'actor_id', 'since', 'until'] as const

export type AuditSearch = { [name in (typeof NAMES)[number]]?: string }

export function auditSearch(search: Record<string, unknown>): AuditSearch {
  const asked = NAMES.filter((name) => search[name] !== undefined && search[name] !== '')
  return Object.fromEntries(asked.map((name) => [name, String(search[name])]))
}

const KINDS: Credential['kind'][] = ['integration', 'agent', 'device']

interface KeySearch {
  kind?: Credential['kind'] | undefined
  /** Expired and revoked ones as well. */
  all?: boolean
}

export function keySearch(search: Record<string, unknown>): KeySearch {
  const kind = KINDS.find((one) => one === search.kind)
  return { ...(kind && { kind }), ...(search.all === true && { all: true }) }
}
