// Pushing to the team: the open workflow's models that this machine has and the team lacks, or all of it as a collection.

import { checkWorkflow, getMessage, push, RequestError } from './agent_requests.mjs'
import { element, formatSize } from './elements.mjs'
import { listNamedFiles, normalizeName } from './missing_models.mjs'

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../agent_api').WorkflowReference} WorkflowReference */
/** @typedef {import('../../agent_api').PushReport} PushReport */
/** @typedef {import('../../agent_api').WorkflowPush} WorkflowPush */

const POLL_MILLISECONDS = 1000
const LACKING = ['unknown', 'similar']
const STEPS = { preparing: 'Preparing', hashing: 'Reading', sending: 'Sending', verifying: 'Verifying' }

export class PushPanel {
  /** @param {App} app */
  constructor(app) {
    this.app = app
    /** Why nothing can be pushed; null if it can. @type {string | null} */
    this.hint = null
    this.list = element('ul')
    this.message = element('p', { role: 'status' })
    this.name = element('input', { type: 'text', 'aria-label': 'Name of the collection', maxlength: '200' })
    this.compareButton = element('button', { type: 'button', onclick: () => void this.compare() }, 'Compare workflow')
    this.pushButton = element(
      'button',
      { type: 'button', onclick: () => void this.pushWorkflow() },
      'Push as collection',
    )
    /** What the user may confirm: a push that was refused, as it would change a collection. @type {WorkflowPush | null} */
    this.offered = null
    this.confirmButton = element('button', { type: 'button', hidden: true, onclick: () => void this.confirm() })
    this.name.addEventListener('input', () => this.offer(null))
    this.root = element(
      'section',
      { 'aria-label': 'Push to team' },
      element('header', {}, element('h3', {}, 'Push to team'), this.compareButton),
      element('div', { class: 'modelyard-row' }, this.name, this.pushButton),
      this.message,
      this.confirmButton,
      this.list,
    )
  }

  /**
   * Say why nothing can be pushed, or that it can.
   *
   * @param {string | null} hint
   */
  setHint(hint) {
    this.hint = hint
    this.pushButton.disabled = hint !== null
    this.message.textContent = hint ?? ''
  }

  /**
   * Offer to push what was refused after all, or end the offer.
   *
   * @param {{ push: WorkflowPush, verb: string } | null} offer
   */
  offer(offer) {
    this.offered = offer?.push ?? null
    this.confirmButton.textContent = offer?.verb ?? ''
    this.confirmButton.hidden = offer === null
  }

  /** Push what was offered. */
  async confirm() {
    const { offered } = this
    if (offered) await this.pushCollection(() => offered)
  }

  /** Push the models of the open workflow that the team lacks, and save all of them as a collection. */
  async pushWorkflow() {
    const name = this.name.value.trim()
    if (!name) {
      this.message.textContent = 'Enter a name for the collection.'
      this.name.focus()
      return
    }
    await this.pushCollection(() => ({ workflow: (this.app.rootGraph ?? this.app.graph).serialize(), name }))
  }

  /**
   * Push a workflow, and say what became of it.
   *
   * @param {() => WorkflowPush} buildPush
   */
  async pushCollection(buildPush) {
    this.offer(null)
    this.pushButton.disabled = true
    /** @type {WorkflowPush | null} */
    let what = null
    try {
      what = buildPush()
      this.message.textContent = describeResult(
        await follow(what, (report) => {
          this.message.textContent = describe(report)
        }),
      )
    } catch (error) {
      this.message.textContent = getMessage(error)
      this.offer(what && findOffer(what, error))
    } finally {
      this.pushButton.disabled = this.hint !== null
    }
  }

  /** List the models of the open workflow that ComfyUI lists and the team lacks. */
  async compare() {
    this.list.replaceChildren()
    this.message.textContent = 'Comparing…'
    try {
      const graph = this.app.rootGraph ?? this.app.graph
      const { reference_list: references } = await checkWorkflow(graph.serialize())
      const lacking = findLacking(this.app, references)
      this.message.textContent = lacking.length
        ? (this.hint ?? '')
        : 'Your team has all models of this workflow that are here.'
      this.list.replaceChildren(...lacking.map((one) => this.buildRow(one)))
    } catch (error) {
      this.message.textContent = getMessage(error)
    }
  }

  /** @param {{ folder: string, name: string }} file */
  buildRow({ folder, name }) {
    const status = element('p', { role: 'status' })
    const button = element(
      'button',
      { type: 'button', 'aria-label': `Push ${name}`, disabled: this.hint !== null, onclick: () => void pushRow() },
      'Push to team',
    )
    const pushRow = async () => {
      button.disabled = true
      try {
        const { model_path: path } = await follow({ folder, path: name }, (report) => {
          status.textContent = describe(report)
        })
        status.textContent = `Your team has it now: ${path ?? name}`
        button.remove()
      } catch (error) {
        status.textContent = getMessage(error)
        button.disabled = false
      }
    }
    const head = element('div', { class: 'modelyard-name' }, element('strong', {}, name), element('small', {}, folder))
    return element('li', {}, head, status, button)
  }
}

/**
 * Return the files of the open workflow that ComfyUI lists and the team lacks.
 *
 * @param {App} app
 * @param {WorkflowReference[]} references
 */
function findLacking(app, references) {
  const here = new Set(listNamedFiles(app).flatMap(({ listed }) => (listed === null ? [] : normalizeName(listed))))
  /** @type {Map<string, { folder: string, name: string }>} */
  const lacking = new Map()
  for (const { folder, name, state } of references) {
    if (folder && LACKING.includes(state) && here.has(normalizeName(name))) {
      lacking.set(`${folder}/${normalizeName(name)}`, { folder, name: normalizeName(name) })
    }
  }
  return [...lacking.values()]
}

/**
 * Push a file or a workflow, and follow it until it is done.
 *
 * @param {{ folder: string, path: string } | WorkflowPush} what
 * @param {(report: PushReport) => void} onProgress
 * @returns {Promise<PushReport>}
 */
async function follow(what, onProgress) {
  for (;;) {
    const report = await push(what)
    if (report.state === 'done') return report
    onProgress(report)
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS))
  }
}

/**
 * Return what can be pushed after a confirmation, since a push was refused that would change a collection.
 *
 * @param {WorkflowPush} push
 * @param {unknown} error
 */
function findOffer(push, error) {
  if (!(error instanceof RequestError)) return null
  const { version, model_count: count } = error.facts
  if (error.type === 'collection-exists' && typeof version === 'number') {
    const models = count === 1 ? 'its model' : `its ${count} models`
    return { push: { ...push, expected_version: version }, verb: `Replace ${models} (version ${version + 1})` }
  }
  if (error.type === 'collection-incomplete') return { push: { ...push, replace: true }, verb: 'Save without them' }
  return null
}

/**
 * Say what became of a workflow's push.
 *
 * @param {PushReport} report
 */
function describeResult({
  collection_name: name,
  version,
  model_count: count,
  pushed_list,
  missing_list,
  failed_list,
  other_content_list,
}) {
  const parts = [`Collection "${name}", version ${version}, has ${count} ${count === 1 ? 'model' : 'models'}.`]
  if (pushed_list?.length) parts.push(`Pushed: ${pushed_list.join(', ')}.`)
  if (missing_list?.length) parts.push(`Your team still lacks: ${missing_list.join(', ')}.`)
  if (other_content_list?.length) {
    parts.push(
      `Your team has other content than the workflow declares, which was taken, for: ${other_content_list.join(', ')}.`,
    )
  }
  for (const { path, problem } of failed_list ?? []) parts.push(`${path}: ${problem}`)
  return parts.join(' ')
}

/** @param {PushReport} report */
function describe({ step = 'preparing', done_bytes: done = 0, total_bytes: total }) {
  const text = STEPS[step]
  return total ? `${text}: ${formatSize(done)} of ${formatSize(total)}` : text
}
