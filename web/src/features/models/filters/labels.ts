// Values of qualifiers as people read them.

import { formatCount } from '@/components/format'
import { formatModelType } from '@/components/modelType'
import type { Qualifier } from '@/features/models/filters/searchText'

const STATES: Record<string, string> = {
  ready: 'Ready',
  queued: 'Queued',
  downloading: 'Downloading',
  verifying: 'Verifying',
  conflict: 'Conflict',
  blocked: 'Blocked',
  failed: 'Failed',
  evicted: 'Evicted',
}

const PROPERTIES: Record<string, string> = {
  missing: 'Missing on machines',
  pending: 'Being verified',
  damaged: 'Damaged or failed',
  disabled: 'Disabled',
  unpreviewed: 'Without a picture',
}

/** Times for which models may not have been used, as `unused:` takes them. */
export const UNUSED_TIMES: readonly string[] = ['30d', '90d', '1y']

/** What each qualifier compares. */
export const QUALIFIER_TEXTS: Record<Qualifier, string> = {
  type: 'Type',
  base: 'Base model',
  architecture: 'Architecture of the tensors',
  tag: 'Tag',
  trigger: 'Trigger word',
  by: 'Added by',
  license: 'Licence',
  hash: 'Hash of the content',
  machine: 'On a machine, or to be on it',
  missing: 'Missing on a machine',
  state: 'State on machines',
  is: 'Needs attention',
  size: 'Size, such as >2gb',
  added: 'Date, such as >2026-10-01',
  unused: 'Not used for a time, such as 90d',
}

/** Return whether one of the texts, or a word in it, begins with what is typed. */
export function hasPrefix(texts: readonly string[], typed: string): boolean {
  const prefix = typed.trim().toLowerCase()
  return texts.some((text) => {
    const lower = text.toLowerCase()
    return lower.startsWith(prefix) || lower.split(/\s+/).some((word) => word.startsWith(prefix))
  })
}

export function labelOf(key: Qualifier | '', value: string): string {
  if (key === 'type') return formatModelType(value)
  if (key === 'state') return STATES[value] ?? value
  if (key === 'is') return PROPERTIES[value] ?? value
  if (key === 'unused') return describeTime(value)
  return value
}

const UNITS: Record<string, string> = { d: 'day', w: 'week', y: 'year' }

/** `90d` as "90 days"; a text of another form as it is. */
function describeTime(value: string): string {
  const [, count, unit = 'd'] = /^(\d+)([dwy])?$/.exec(value) ?? []
  return count ? formatCount(Number(count), UNITS[unit] ?? 'day') : value
}
