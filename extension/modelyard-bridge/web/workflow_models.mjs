// The missing models of the open workflow, and what the registry has of them.

import { checkWorkflow, getMessage } from './agent_requests.mjs'
import { applyListedName, findMissingFiles, normalizeName } from './missing_models.mjs'

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../agent_api').WorkflowReference} WorkflowReference */
/** @typedef {import('./downloads.mjs').Downloads} Downloads */
/** @typedef {import('./missing_models.mjs').NamedFile} NamedFile */

/**
 * A missing file with what the registry says about it; null: not known yet.
 *
 * @typedef {NamedFile & { reference: WorkflowReference | null }} MissingModel
 */

const SCAN_MILLISECONDS = 800
// The states in which the registry has a file that can be fetched under the name that the workflow has.
const FETCHABLE = ['present', 'other_content']

/** Dispatches `change` when what it holds changes. */
export class WorkflowModels extends EventTarget {
  /**
   * @param {App} app
   * @param {Downloads} downloads
   */
  constructor(app, downloads) {
    super()
    this.app = app
    this.downloads = downloads
    /** @type {MissingModel[]} */
    this.missing = []
    /** Why the registry could not be asked. @type {string | null} */
    this.problem = null
    this.isChecking = false
    this.signature = '[]'
    /** Counts checks and opened workflows, so that the response of an older check is ignored. */
    this.sequence = 0
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined
    downloads.addEventListener('arrived', (event) => this.update(/** @type {CustomEvent<string[]>} */ (event).detail))
  }

  /** Drop what the registry said: another workflow was opened, whose files of the same names may be others. */
  reset() {
    this.sequence += 1
    this.isChecking = false
    this.problem = null
    this.signature = '[]'
    this.missing = []
    this.changed()
    this.scanSoon()
  }

  /** Look for missing models once the workflow has not changed for a moment. */
  scanSoon() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.scan(), SCAN_MILLISECONDS)
  }

  /** Look for missing models, and ask the registry about them if there are others than before. */
  async scan() {
    if (this.findMissing() && this.missing.some(({ reference }) => !reference)) await this.check()
  }

  /**
   * Look for missing models; return whether there are others than before. What the registry said of one is kept.
   *
   * @returns {boolean}
   */
  findMissing() {
    const files = findMissingFiles(this.app)
    const signature = JSON.stringify(files)
    if (signature === this.signature) return false
    this.signature = signature
    const known = new Map(this.missing.map(({ key, reference }) => [key, reference]))
    this.missing = files.map((file) => ({ ...file, reference: known.get(file.key) ?? null }))
    this.changed()
    return true
  }

  /**
   * Look for missing models after some arrived, and note those that ComfyUI does not list nevertheless.
   *
   * @param {string[]} ids
   */
  update(ids) {
    void this.scan()
    for (const { reference, listed } of this.missing) {
      if (listed !== null || !ids.includes(reference?.model_id ?? '')) continue
      this.downloads.fail(reference?.model_id ?? '', 'It is on this machine, but this ComfyUI does not list it.')
    }
  }

  /**
   * Let the nodes that name a missing model name it as ComfyUI's list does, with the other slashes.
   *
   * @param {string} key
   */
  applyListedName(key) {
    const model = this.missing.find((one) => one.key === key)
    if (model) applyListedName(this.app, model)
    void this.scan()
  }

  /** Ask the registry about the missing models. A later check or another workflow ends this one. */
  async check() {
    this.sequence += 1
    const { sequence } = this
    this.isChecking = true
    this.changed()
    try {
      const graph = this.app.rootGraph ?? this.app.graph
      const { reference_list: references } = await checkWorkflow(graph.serialize())
      if (sequence !== this.sequence) return
      this.problem = null
      for (const model of this.missing) model.reference = findReference(model, references)
    } catch (error) {
      if (sequence === this.sequence) this.problem = getMessage(error)
    } finally {
      if (sequence === this.sequence) {
        this.isChecking = false
        this.changed()
      }
    }
  }

  /** The missing models that can be fetched and are not being fetched. */
  get fetchable() {
    return this.missing.filter((model) => isFetchable(model) && !this.isFetching(model))
  }

  /** @param {MissingModel} model */
  isFetching({ reference }) {
    return this.downloads.active.has(reference?.model_id ?? '')
  }

  changed() {
    this.dispatchEvent(new Event('change'))
  }
}

/**
 * Return whether the registry has a file that this machine can get under the name that the workflow has.
 *
 * @param {MissingModel} model
 */
export function isFetchable({ reference, listed }) {
  return Boolean(listed === null && reference?.model_id && FETCHABLE.includes(reference.state))
}

/**
 * Return what the registry says of a file: of the references with its name, one of its node type and input.
 *
 * A node that stands for a subgraph has a type of its own, and the registry may not know an input's name. Then only
 * references that agree on the folder say something about the file.
 *
 * @param {NamedFile} file
 * @param {WorkflowReference[]} references
 * @returns {WorkflowReference | null}
 */
export function findReference(file, references) {
  const named = references.filter(({ name }) => normalizeName(name) === normalizeName(file.name))
  const exact = named.filter(({ node_type: type, input }) => type === file.type && input === file.input)
  if (exact.length) return exact.find(({ folder }) => folder === file.folder) ?? exact[0] ?? null
  const inFolder = file.folder ? named.filter(({ folder }) => folder === file.folder) : named
  const folders = new Set(inFolder.map(({ folder }) => folder))
  return folders.size === 1 ? (inFolder[0] ?? null) : null
}
