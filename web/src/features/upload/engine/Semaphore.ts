// Limits how many operations run at once, in the order of their requests.

export class Semaphore {
  private readonly queue: (() => void)[] = []

  constructor(private free: number) {}

  /** Run the work when a slot is free, unless `signal` is aborted before. */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (this.free > 0) this.free -= 1
    else await new Promise<void>((turn) => this.queue.push(turn))
    try {
      signal.throwIfAborted()
      return await work()
    } finally {
      const next = this.queue.shift()
      if (next) next()
      else this.free += 1
    }
  }
}
