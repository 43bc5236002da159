// One file at work, from its turn until it is a model, waits for an answer, or is stopped: what it counts and remembers.

import { NO_NOTES, type Notes } from '@/uploading/asking'
import { FileUnreadable, type Halfway, sha256 } from '@/uploading/hashing'
import { keep, keepHash, packed, TAB, type Unfinished, unfinishedOf, unpacked } from '@/uploading/memory'
import { Meter } from '@/uploading/meter'
import type { Patience } from '@/uploading/retrying'
import { type Activity, change, type Item, item } from '@/uploading/state'

// A hash half way outlives a pause, since its file is the same.
const halfway = new Map<number, Halfway>()

export class Run implements Patience {
  private readonly stopping = new AbortController()
  private readonly meter = new Meter()
  private readonly flying = new Map<number, number>()
  private hashing: Promise<string> | undefined
  private arrived = 0
  private hashed = 0
  private activity: Activity | undefined
  /** Where the upload is remembered, if it goes in parts. */
  unfinished: Unfinished | undefined

  constructor(
    private readonly id: number,
    readonly notes: Notes = NO_NOTES,
  ) {}

  get signal(): AbortSignal {
    return this.stopping.signal
  }

  get item(): Item {
    const one = item(this.id)
    if (!one) throw new DOMException('It was removed.', 'AbortError')
    return one
  }

  tell = (note: string): void => change(this.id, { note })

  change(changed: Parameters<typeof change>[1]): void {
    change(this.id, changed)
  }

  does(activity: Activity): void {
    this.activity = activity
    this.change({ activity, note: '' })
  }

  /** End everything that it does; may be called twice. */
  stop(): void {
    if (this.signal.aborted) return
    this.stopping.abort(new DOMException('It was stopped.', 'AbortError'))
    if (this.unfinished) this.remember({ ...this.unfinished, beat: 0 })
  }

  /** The file's hash; it is made once, beside whatever else goes on. */
  hash(): Promise<string> {
    this.hashing ??= this.hashOnce()
    return this.hashing
  }

  private async hashOnce(): Promise<string> {
    const { file, fingerprint, hash: known } = this.item
    if (known) return known
    const from = halfway.get(this.id) ?? unpacked(unfinishedOf(this.item)?.halfway)
    const hash = await sha256(file, this.signal, (done, state) => this.hashedUpTo(done, state), from)
    halfway.delete(this.id)
    keepHash(file, fingerprint, hash)
    this.change({ hash, hashed: file.size })
    return hash
  }

  private hashedUpTo(done: number, state: Uint8Array | undefined): void {
    this.hashed = done
    if (!state) return
    halfway.set(this.id, { done, state })
    if (this.unfinished) this.remember({ ...this.unfinished, halfway: packed({ done, state }) })
  }

  /** So much of this part is on its way. */
  flies(part: number, sent: number): void {
    this.flying.set(part, sent)
  }

  /** The part is there, or its try failed. */
  landed(part: number, size: number): void {
    this.flying.delete(part)
    this.arrived += size
  }

  startsFrom(arrived: number): void {
    this.flying.clear()
    this.arrived = arrived
    this.publish()
  }

  remember(unfinished: Unfinished): void {
    this.unfinished = unfinished
    const one = item(this.id)
    if (one) keep(one, unfinished)
  }

  /** Tell how far it is, and other tabs that this one is alive. */
  publish(): void {
    const one = item(this.id)
    if (!one) return
    const flying = [...this.flying.values()].reduce((sum, part) => sum + part, 0)
    const sent = Math.min(one.file.size, this.arrived + flying)
    const hashed = one.hash ? one.file.size : this.hashed
    const rate = this.meter.rate(this.activity === 'sending' ? sent : hashed)
    change(this.id, { sent, hashed, rate })
  }

  beat(): void {
    if (this.unfinished && !this.signal.aborted) this.remember({ ...this.unfinished, tab: TAB, beat: Date.now() })
  }

  /** @throws FileUnreadable the file is gone or has changed: what looks like a broken network may be that. */
  async checkFile(): Promise<void> {
    await this.item.file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        throw new FileUnreadable()
      })
  }
}
