// Numbers and times as people read them.

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** `6_800_000_000` → `6.8 GB`: powers of 1,000, as disks are sold and as the command line says it. */
export function formatBytes(count: number): string {
  let amount = count
  let unit = 0
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000
    unit += 1
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : 1
  return `${amount.toFixed(digits)} ${UNITS[unit]}`
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** Seconds as `45 s`, `3 min`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return ''
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const rest = minutes % 60
  return rest ? `${Math.floor(minutes / 60)} h ${rest} min` : `${minutes / 60} h`
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** Format a time as `3 minutes ago`. */
export function formatAgo(time: string, now = Date.now()): string {
  const seconds = (Date.parse(time) - now) / 1000
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length)
  return step ? relative.format(Math.trunc(seconds / step[1]), step[0]) : seconds > 1 ? 'in a moment' : 'just now'
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

export function formatDateTime(time: string): string {
  return exact.format(new Date(time))
}

const date = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })

export function formatDay(time: string): string {
  return date.format(new Date(time))
}

/** `1,214`; of a count at which the registry stopped, `1,214+` or `10k+`. */
export function formatPartialCount(count: number, isCapped: boolean): string {
  if (isCapped && count >= 10_000 && count % 1_000 === 0) return `${count / 1_000}k+`
  return `${count.toLocaleString('en')}${isCapped ? '+' : ''}`
}

/** `1 model`, `12,345 models`. */
export function formatCount(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}
