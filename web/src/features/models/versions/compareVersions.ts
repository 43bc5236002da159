// The facts and metadata of two versions, side by side.

import type { ModelVersion } from '@/api/types'
import { formatBytes } from '@/components/format'

const NAMES: Record<string, string> = {
  format: 'Format',
  architecture: 'Architecture',
  parameter_count: 'Parameters',
  tensor_dtypes: 'Tensors',
  base_model: 'Base model',
  base_source: 'Source of the base model',
  trigger_words: 'Trigger words',
  tags: 'Tags in the file',
}
// `extra` is compared entry by entry; `refusal` is an error, which the version itself shows.
const NOT_COMPARED = ['extra', 'refusal']

export interface ComparedFact {
  name: string
  left: string
  right: string
  isSame: boolean
}

export function compareVersions(left: ModelVersion, right: ModelVersion): ComparedFact[] {
  const [before, after] = [collectFacts(left), collectFacts(right)]
  return [...new Set([...before.keys(), ...after.keys()])].map((name) => {
    const values = { left: before.get(name) ?? '', right: after.get(name) ?? '' }
    return { name, ...values, isSame: values.left === values.right }
  })
}

function collectFacts({ file_size, file_hash, metadata }: ModelVersion): Map<string, string> {
  const extra = isRecord(metadata.extra) ? metadata.extra : {}
  const own = Object.entries(metadata).filter(([name]) => !NOT_COMPARED.includes(name))
  const facts = [
    ['Size', `${formatBytes(file_size)} (${file_size.toLocaleString('en')} bytes)`],
    ['SHA-256', file_hash.split(':')[1] ?? file_hash],
    ...own.map(([name, value]) => [NAMES[name] ?? name, formatValue(value)]),
    ...Object.entries(extra).map(([name, value]) => [name, formatValue(value)]),
  ] as [string, string][]
  return new Map(facts.filter(([, value]) => value !== ''))
}

function formatValue(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(formatValue).join(', ')
  if (isRecord(value) && typeof value.text === 'string') {
    return value.source === 'guess' ? `probably ${value.text}` : value.text
  }
  if (isRecord(value)) return Object.entries(value).map(formatEntry).join(', ')
  return typeof value === 'number' ? value.toLocaleString('en') : String(value)
}

function formatEntry([name, value]: [string, unknown]): string {
  return `${name}: ${formatValue(value)}`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
