// Fetching models to this machine: asking its agent, following the progress, refreshing ComfyUI's lists.

import { fetchModels, getMessage, getProgress } from './agent_requests.mjs'
import { refreshLists } from './missing_models.mjs'

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../agent_api').ModelProgress} ModelProgress */

const POLL_MILLISECONDS = 400
// While nothing changes, progress is read less and less often, down to this.
const MAX_POLL_MILLISECONDS = 10_000
const SLOWDOWN = 1.5
// An agent that restarts is back within this time.
const RETRY_MILLISECONDS = 3000
const MAX_RETRIES = 20
// The registry takes so many models a request.
const MAX_REQUESTED = 100
// The agent reports so many models a request.
const MAX_REPORTED = 1000
// The states that last until someone acts: the file stays as it is.
const ENDED = ['absent', 'conflict', 'blocked']

/** Dispatches `change` when what it holds changes, and `arrived` with ids when ComfyUI's lists were refreshed. */
export class Downloads extends EventTarget {
  /** @param {App} app */
  constructor(app) {
    super()
    this.app = app
    /** The models that are being fetched; null before the first report. @type {Map<string, ModelProgress | null>} */
    this.active = new Map()
    /** The models that the agent was not asked for yet. @type {Set<string>} */
    this.pending = new Set()
    this.isPolling = false
    this.retries = 0
    this.delay = POLL_MILLISECONDS
    /** Ends the wait for the next reading. */
    this.wake = () => {}
    /** Why a model could not be fetched. @type {Map<string, string>} */
    this.problems = new Map()
  }

  /**
   * Fetch models to this machine.
   *
   * @param {string[]} ids
   * @returns {Promise<number>} how many of them arrived
   */
  async fetch(ids) {
    for (const id of ids) {
      this.problems.delete(id)
      this.active.set(id, null)
      this.pending.add(id)
    }
    this.changed()
    try {
      for (let start = 0; start < ids.length; start += MAX_REQUESTED) {
        const block = ids.slice(start, start + MAX_REQUESTED)
        const { refused } = await fetchModels(block)
        for (const id of block) this.pending.delete(id)
        for (const { id, problem } of refused) this.fail(id, problem)
      }
    } catch (error) {
      for (const id of ids) if (this.pending.delete(id)) this.fail(id, getMessage(error))
    }
    this.changed()
    return this.follow(ids)
  }

  /**
   * Wait until each model is on this machine or given up.
   *
   * @param {string[]} ids
   * @returns {Promise<number>} how many of them arrived
   */
  async follow(ids) {
    let arrived = 0
    const count = (/** @type {Event} */ event) => {
      const { detail } = /** @type {CustomEvent<string[]>} */ (event)
      arrived += ids.filter((id) => detail.includes(id)).length
    }
    this.addEventListener('arrived', count)
    this.delay = POLL_MILLISECONDS
    this.wake()
    void this.poll()
    while (ids.some((id) => this.active.has(id))) {
      await new Promise((resolve) => this.addEventListener('change', resolve, { once: true }))
    }
    this.removeEventListener('arrived', count)
    return arrived
  }

  /** Read the progress of all models until each is on this machine or given up. One loop runs for all of them. */
  async poll() {
    if (this.isPolling) return
    this.isPolling = true
    this.retries = 0
    for (;;) {
      const awaited = [...this.active.keys()].filter((id) => !this.pending.has(id))
      if (!awaited.length) break
      await this.update(awaited)
      this.changed()
      await this.wait(this.retries ? RETRY_MILLISECONDS : this.delay)
    }
    this.isPolling = false
  }

  /**
   * Read the progress of models once; if the agent did not answer for too long, give them up.
   *
   * @param {string[]} ids
   */
  async update(ids) {
    try {
      const ready = await this.readProgress(ids)
      if (ready.length) await this.refresh(ready)
      this.retries = 0
    } catch (error) {
      this.retries += 1
      for (const id of ids) {
        if (this.retries > MAX_RETRIES) this.fail(id, getMessage(error))
        else this.problems.set(id, getMessage(error))
      }
    }
  }

  /** @param {number} milliseconds */
  async wait(milliseconds) {
    await new Promise((resolve) => {
      this.wake = () => resolve(undefined)
      setTimeout(resolve, milliseconds)
    })
  }

  /**
   * Read the progress of models, and return those that are on this machine now.
   *
   * @param {string[]} ids
   */
  async readProgress(ids) {
    const before = JSON.stringify([...this.active])
    const ready = []
    for (let start = 0; start < ids.length; start += MAX_REPORTED) {
      const { model_list: reports } = await getProgress(ids.slice(start, start + MAX_REPORTED))
      for (const report of reports) this.record(report)
      ready.push(...reports.filter(({ state }) => state === 'ready').map(({ id }) => id))
    }
    const isSame = before === JSON.stringify([...this.active])
    this.delay = isSame ? Math.min(this.delay * SLOWDOWN, MAX_POLL_MILLISECONDS) : POLL_MILLISECONDS
    return ready
  }

  /** @param {ModelProgress} report */
  record(report) {
    const { id, state, problem } = report
    if (ENDED.includes(state)) {
      this.fail(id, problem ?? 'It is not fetched any more.')
      return
    }
    this.active.set(id, report)
    if (problem) this.problems.set(id, problem)
    else this.problems.delete(id)
  }

  /**
   * Refresh ComfyUI's lists after these models arrived.
   *
   * @param {string[]} ids
   */
  async refresh(ids) {
    await refreshLists(this.app)
    for (const id of ids) this.active.delete(id)
    this.dispatchEvent(new CustomEvent('arrived', { detail: ids }))
  }

  /**
   * @param {string} id
   * @param {string} problem
   */
  fail(id, problem) {
    this.active.delete(id)
    this.problems.set(id, problem)
  }

  changed() {
    this.dispatchEvent(new Event('change'))
  }
}
