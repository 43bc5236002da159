// Search parameters of the history and keys pages.

import type { Credential } from '@/api/types'
import { CREDENTIAL_KINDS } from '@/generated/states'

const NAMES = ['action', 'object_id', 'actor_id', 'since', 'until'] as const

export type AuditSearch = { [name in (typeof NAMES)[number]]?: string }

export function auditSearch(search: Record<string, unknown>): AuditSearch {
  const asked = NAMES.filter((name) => search[name] !== undefined && search[name] !== '')
  return Object.fromEntries(asked.map((name) => [name, String(search[name])]))
}

interface KeySearch {
  kind?: Credential['kind'] | undefined
  /** Expired and revoked ones as well. */
  all?: boolean
}

export function keySearch(search: Record<string, unknown>): KeySearch {
  const kind = CREDENTIAL_KINDS.find((one) => one === search.kind)
  return { ...(kind && { kind }), ...(search.all === true && { all: true }) }
}
