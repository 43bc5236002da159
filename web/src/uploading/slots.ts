// How many PUTs run at once, over all files: they take turns in the order in which they asked.

export class Slots {
  private readonly queue: (() => void)[] = []

  constructor(private free: number) {}

  /** Do it when there is room; nothing is done if `signal` says stop before. */
  async within<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
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
