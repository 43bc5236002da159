// Total progress of all uploads.

import type { Item } from '@/features/upload/engine/items'

export interface UploadTotals {
  count: number
  done: number
  size: number
  sent: number
  rate: number
  percent: number
}

/** Sum the progress of started uploads, without failed ones and those with a conflict. */
export function sumProgress(items: readonly Item[]): UploadTotals {
  const counted = items.filter(({ stage }) => !['reading', 'draft', 'failed', 'conflict'].includes(stage))
  const sum = (of: (one: Item) => number) => counted.reduce((total, one) => total + of(one), 0)
  const size = sum((one) => one.file.size)
  const sent = sum((one) => (one.stage === 'done' ? one.file.size : one.sent))
  return {
    ...{ count: counted.length, done: counted.filter(({ stage }) => stage === 'done').length, size, sent },
    rate: sum((one) => (one.activity === 'sending' ? one.rate : 0)),
    percent: size > 0 ? (100 * sent) / size : 0,
  }
}
