// How far everything is together.

import type { Item } from '@/uploading/state'

export interface Total {
  count: number
  done: number
  size: number
  sent: number
  rate: number
  percent: number
}

/** Of all that somebody said yes to; what failed or waits for an answer is not counted as coming. */
export function totalOf(items: readonly Item[]): Total {
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
