// One row for each upload: a file on its way into the registry, or the model that it became.

import { findRepaired, type Item } from '@/features/upload/engine/items'
import type { Delivery } from '@/features/upload/recent/describeDelivery'
import type { DeliveredRow } from '@/features/upload/recent/useDeliveries'

/** At least one of the two is there. */
export interface UploadRow {
  /** Stays the same while a file becomes a model. */
  key: string
  /** The file that this page uploads, or has uploaded. */
  item?: Item
  /** The model, as soon as it is stored. */
  delivered?: DeliveredRow
}

// What needs a person comes first, what is done last.
const ITEM_ORDER: Item['stage'][] = ['conflict', 'failed', 'working', 'paused', 'waiting', 'verifying', 'done']
const DELIVERY_ORDER: Delivery['kind'][] = ['problem', 'moving', 'idle', 'done']
const FAILED = ITEM_ORDER.indexOf('failed')

export function mergeRows(items: readonly Item[], delivered: readonly DeliveredRow[]): UploadRow[] {
  const modelOf = new Map(delivered.map((row) => [row.model.id, row]))
  // Of the files that became versions of one model, the last has its row; those that need a person keep theirs.
  const itemOf = new Map(items.map((item) => [getModelId(item), item]))
  const ofFiles = items
    .filter((item) => !isStored(item) || itemOf.get(getModelId(item)) === item || getModelId(item) === undefined)
    .map((item) => buildRow(item, modelOf.get(getModelId(item) ?? '')))
  const ofModels = delivered
    .filter(({ model }) => !itemOf.has(model.id))
    .map((row) => ({ key: row.model.id, delivered: row }))
  return [...ofFiles, ...ofModels].sort((one, other) => rank(one) - rank(other))
}

function getModelId(item: Item): string | undefined {
  return item.modelId ?? item.replaces ?? (findRepaired(item) && item.existing?.id)
}

/** A file that failed after it was stored can be tried again: its own row stays. */
function buildRow(item: Item, delivered: DeliveredRow | undefined): UploadRow {
  return { key: `file ${item.id}`, item, ...(isStored(item) && delivered && { delivered }) }
}

function isStored({ stage }: Item): boolean {
  return stage === 'verifying' || stage === 'done'
}

function rank({ item, delivered }: UploadRow): number {
  if (!delivered) return item ? ITEM_ORDER.indexOf(item.stage) : 0
  const place = DELIVERY_ORDER.indexOf(delivered.delivery.kind)
  // A problem of a machine comes after the files that failed; the other models follow the files.
  return place === 0 ? FAILED + 0.5 : ITEM_ORDER.length + place
}
