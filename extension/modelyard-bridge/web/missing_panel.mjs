// The list of the open workflow's missing models.

import { buildProblem, buildProgress, describeProgress, element, updateChildren } from './elements.mjs'
import { isFetchable } from './workflow_models.mjs'

/** @typedef {import('./workflow_models.mjs').MissingModel} MissingModel */
/** @typedef {import('./workflow_models.mjs').WorkflowModels} WorkflowModels */
/** @typedef {(ids: string[], name: string) => void} OnFetch called with the models whose button was pressed */

export class MissingSection {
  /** @param {WorkflowModels} workflow */
  constructor(workflow) {
    this.workflow = workflow
    /** Null if this machine may not request models. @type {OnFetch | null} */
    this.onFetch = null
    /** By the keys of the models. @type {Map<string, HTMLElement>} */
    this.rows = new Map()
    this.header = element('header')
    this.problem = element('div')
    this.list = element('ul')
    const label = { 'aria-label': 'Models of this workflow' }
    this.root = element('section', label, this.header, this.problem, this.list)
  }

  /** Show the current state; what is equal stays. Buttons look up what they act on when they are pressed. */
  update() {
    const { missing, problem } = this.workflow
    updateChildren(this.header, [
      element('h3', {}, summarize(missing.length)),
      this.onFetch &&
        this.listFetchable().length > 1 &&
        element('button', { type: 'button', class: 'primary', onclick: () => this.fetchAll() }, 'Fetch all'),
    ])
    updateChildren(this.problem, [problem && buildProblem(problem, () => void this.workflow.check())])
    this.updateRows(missing)
  }

  /** @param {MissingModel[]} missing */
  updateRows(missing) {
    const keys = new Set(missing.map(({ key }) => key))
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue
      row.remove()
      this.rows.delete(key)
    }
    for (const [index, model] of missing.entries()) {
      const row = this.rows.get(model.key) ?? element('li')
      this.rows.set(model.key, row)
      updateChildren(row, this.buildRow(model))
      // Moving an element would take the focus away.
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null)
    }
  }

  listFetchable() {
    return [...new Set(this.workflow.fetchable.map(({ reference }) => reference?.model_id ?? ''))]
  }

  fetchAll() {
    const ids = this.listFetchable()
    this.onFetch?.(ids, `${ids.length} models`)
  }

  /** @param {string} key */
  fetchOne(key) {
    const model = this.workflow.fetchable.find((one) => one.key === key)
    if (model) this.onFetch?.([model.reference?.model_id ?? ''], model.name)
  }

  /** @param {MissingModel} model */
  buildRow(model) {
    const { key, name, listed, reference, folder } = model
    const id = reference?.model_id ?? ''
    const isFetching = this.workflow.isFetching(model)
    const problem = this.workflow.downloads.problems.get(id)
    const buttons = []
    if (listed !== null) buttons.push(buildButton('Use it', `Use ${listed}`, () => this.workflow.applyListedName(key)))
    else if (this.onFetch && isFetchable(model) && !isFetching) {
      buttons.push(buildButton('Fetch here', `Fetch ${name}`, () => this.fetchOne(key)))
    }
    return [
      element(
        'div',
        { class: 'modelyard-name' },
        element('strong', { title: name }, name),
        element('small', {}, reference?.folder ?? folder ?? ''),
      ),
      element('p', {}, isFetching ? this.describeProgress(id) : describe(model, this.workflow.isChecking)),
      isFetching && buildProgress(this.workflow.downloads.active.get(id) ?? null),
      problem && element('p', { class: 'problem' }, problem),
      ...buttons,
    ]
  }

  /** @param {string} id */
  describeProgress(id) {
    return describeProgress(this.workflow.downloads.active.get(id) ?? null)
  }
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} onclick
 */
function buildButton(text, label, onclick) {
  return element('button', { type: 'button', 'aria-label': label, onclick }, text)
}

/** @param {number} count */
function summarize(count) {
  if (!count) return 'This workflow: no models are missing'
  return `This workflow: ${count} ${count === 1 ? 'model is' : 'models are'} missing`
}

/**
 * Say what the registry has of a model.
 *
 * @param {MissingModel} model
 * @param {boolean} isChecking
 */
function describe({ reference, listed }, isChecking) {
  if (listed !== null) return `ComfyUI lists it as ${listed}.`
  if (!reference) return isChecking ? 'Checking…' : 'Not checked'
  const { suggestion } = reference
  switch (reference.state) {
    case 'present':
      return 'Your team has it.'
    case 'other_content':
      return 'Your team has a file of this name with other content than the workflow declares.'
    case 'other_name':
      return suggestion ? `Your team has it as ${suggestion}.` : 'Your team has it under another name.'
    case 'similar':
      return suggestion ? `Your team has a similar one: ${suggestion}` : 'Your team has a similar one.'
    default:
      return 'Your team does not have it.'
  }
}
