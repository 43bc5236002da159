// The models and machines that were opened last in this browser, for each team.

import { currentTeamId } from '@/api/session'
import { readStored, writeStored } from '@/components/storage'

export const MAX_OPENED = 6
const KINDS = ['model', 'machine'] as const

export interface Opened {
  kind: (typeof KINDS)[number]
  id: string
}

/** Return what was opened last, the latest first. */
export function readOpened(): Opened[] {
  try {
    const stored: unknown = JSON.parse(readStored(getStorageName()) ?? '[]')
    return Array.isArray(stored) ? stored.filter(isOpened).slice(0, MAX_OPENED) : []
  } catch {
    return []
  }
}

export function rememberOpened(opened: Opened): void {
  const others = readOpened().filter((one) => !isSame(one, opened))
  writeStored(getStorageName(), JSON.stringify([opened, ...others].slice(0, MAX_OPENED)))
}

/** Remove what no longer exists. */
export function removeOpened(gone: Opened): void {
  writeStored(getStorageName(), JSON.stringify(readOpened().filter((one) => !isSame(one, gone))))
}

function isSame(one: Opened, other: Opened): boolean {
  return one.kind === other.kind && one.id === other.id
}

function isOpened(entry: unknown): entry is Opened {
  const { kind, id } = (entry ?? {}) as Record<string, unknown>
  return KINDS.some((known) => known === kind) && typeof id === 'string'
}

function getStorageName(): string {
  return `modelyard.opened.${currentTeamId()}`
}
