// Measures the transfer rate over the last seconds.

const WINDOW_MILLISECONDS = 8_000

export class RateMeter {
  private samples: { at: number; amount: number }[] = []

  /** Bytes a second, now that `amount` is done. */
  rate(amount: number, at = performance.now()): number {
    // The transfer restarted or another step began.
    if (amount < (this.samples.at(-1)?.amount ?? 0)) this.samples = []
    this.samples.push({ at, amount })
    while ((this.samples[1]?.at ?? at) < at - WINDOW_MILLISECONDS) this.samples.shift()
    const first = this.samples[0]
    return first && at > first.at ? ((amount - first.amount) * 1000) / (at - first.at) : 0
  }
}
