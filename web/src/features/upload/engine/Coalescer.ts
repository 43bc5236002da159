// Joins requests for single items that are made at the same time into one request for many.

import { unreachable } from '@/api/problem'

// Requests that begin together are made within some milliseconds.
const GATHER_MILLISECONDS = 10

interface Waiting<Item, Answer> {
  item: Item
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

/** Sends batches of up to `maxItems`; what is asked while one is being answered goes into the next. */
export class Coalescer<Item, Answer> {
  private waiting: Waiting<Item, Answer>[] = []
  private isSending = false

  /**
   * `sendMany` returns the answer of each item, or its error.
   *
   * Items of different teams, as `getTeam` tells, are not sent together.
   */
  constructor(
    private readonly getTeam: (item: Item) => string,
    private readonly sendOne: (item: Item) => Promise<Answer>,
    private readonly sendMany: (items: Item[]) => Promise<(Answer | Error)[]>,
    private readonly maxItems: number,
  ) {}

  /** Return the answer for one item; throws its error, or that of the whole request. */
  ask(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject })
      if (!this.isSending) void this.sendWaiting()
    })
  }

  private async sendWaiting(): Promise<void> {
    this.isSending = true
    await new Promise((over) => setTimeout(over, GATHER_MILLISECONDS))
    while (this.waiting.length > 0) await this.send(this.takeBatch())
    this.isSending = false
  }

  private takeBatch(): Waiting<Item, Answer>[] {
    const team = this.waiting[0] && this.getTeam(this.waiting[0].item)
    const batch = this.waiting.filter(({ item }) => this.getTeam(item) === team).slice(0, this.maxItems)
    this.waiting = this.waiting.filter((one) => !batch.includes(one))
    return batch
  }

  private async send(batch: Waiting<Item, Answer>[]): Promise<void> {
    const [first] = batch
    try {
      if (first && batch.length === 1) return first.resolve(await this.sendOne(first.item))
      const answers = await this.sendMany(batch.map(({ item }) => item))
      if (answers.length !== batch.length) throw unreachable()
      for (const [index, { resolve, reject }] of batch.entries()) {
        const answer = answers[index]
        if (answer instanceof Error) reject(answer)
        else resolve(answer as Answer)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
