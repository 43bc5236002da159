// A limit in bytes, as people type it: a number of gigabytes or terabytes.

export type Unit = 'GB' | 'TB'

const SIZES: Record<Unit, number> = { GB: 1e9, TB: 1e12 }

export interface Amount {
  number: number
  unit: Unit
}

/** `2_000_000_000_000` → `2 TB`; amounts that are no multiple of 0.1 TB are in gigabytes. */
export function toAmount(bytes: number): Amount {
  const unit: Unit = bytes >= SIZES.TB && bytes % (SIZES.TB / 10) === 0 ? 'TB' : 'GB'
  return { number: bytes / SIZES[unit], unit }
}

export function toBytes({ number, unit }: Amount): number {
  return Math.round(number * SIZES[unit])
}
