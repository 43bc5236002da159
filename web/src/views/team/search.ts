// What the address of the history says: the filters of the audit trail.

const NAMES = ['action', 'object_id', 'actor_id', 'since', 'until'] as const

export type AuditSearch = { [name in (typeof NAMES)[number]]?: string }

export function auditSearch(search: Record<string, unknown>): AuditSearch {
  const asked = NAMES.filter((name) => search[name] !== undefined && search[name] !== '')
  return Object.fromEntries(asked.map((name) => [name, String(search[name])]))
}
