// The team's models: a search field, and cards that can be dragged onto the canvas.

import { getMessage, getPreview, listModels } from './agent_requests.mjs'
import { buildProblem, buildProgress, describeProgress, element, formatSize, updateChildren } from './elements.mjs'
import { DRAG_TYPE, LOADERS } from './loader_nodes.mjs'

/** @typedef {import('../../agent_api').TeamModel} TeamModel */
/** @typedef {import('./downloads.mjs').Downloads} Downloads */

const SEARCH_MILLISECONDS = 250
const PAGE_SIZE = 24
const STATES = { ready: 'On this machine', absent: 'Not on this machine' }

/**
 * What the gallery's buttons do. `fetch` is null if this machine may not request models.
 *
 * @typedef {{ fetch: ((ids: string[], name: string) => void) | null, add: (model: TeamModel) => void }} Actions
 */

export class Gallery {
  /**
   * @param {Downloads} downloads
   * @param {Actions} actions
   */
  constructor(downloads, actions) {
    this.downloads = downloads
    this.actions = actions
    /** The models that are shown, by id. @type {Map<string, TeamModel>} */
    this.models = new Map()
    /** @type {Map<string, HTMLElement>} */
    this.details = new Map()
    /** @type {string | null} */
    this.cursor = null
    /** Counts searches, so that the response of an older one is ignored. */
    this.search = 0
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined
    this.query = element('input', {
      type: 'search',
      'aria-label': 'Search models',
      placeholder: 'Search models',
      oninput: () => this.loadSoon(),
    })
    this.list = element('ul', { class: 'modelyard-cards' })
    this.footer = element('div', { role: 'status' })
    this.root = element(
      'section',
      { 'aria-label': "Your team's models" },
      element('header', {}, element('h3', {}, "Your team's models")),
      this.query,
      this.list,
      this.footer,
    )
    this.pictures = new PictureLoader()
    downloads.addEventListener('change', () => this.updateDetails())
    downloads.addEventListener('arrived', (event) =>
      this.markReady(/** @type {CustomEvent<string[]>} */ (event).detail),
    )
  }

  /** Search anew once the user has not typed for a moment. */
  loadSoon() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.load(), SEARCH_MILLISECONDS)
  }

  /**
   * Show the first models that the search finds, or the next ones.
   *
   * @param {boolean} isNext
   */
  async load(isNext = false) {
    this.search += 1
    const { search } = this
    const cursor = isNext ? this.cursor : null
    if (!isNext) this.footer.replaceChildren('Loading…')
    try {
      const query = { q: this.query.value.trim(), limit: PAGE_SIZE, ...(cursor && { cursor }) }
      const { model_list: models, next_cursor: next } = await listModels(query)
      if (search !== this.search) return
      if (!isNext) this.clear()
      this.cursor = next
      this.list.append(...models.map((model) => this.buildCard(model)))
      this.footer.replaceChildren(...this.buildFooter())
    } catch (error) {
      if (search !== this.search) return
      if (!isNext) this.clear()
      this.footer.replaceChildren(buildProblem(getMessage(error), () => void this.load(isNext)))
    }
  }

  clear() {
    this.models.clear()
    this.details.clear()
    this.pictures.clear()
    this.list.replaceChildren()
  }

  buildFooter() {
    if (!this.models.size) return [this.query.value.trim() ? 'No models match.' : 'Your team has no models yet.']
    if (!this.cursor) return []
    return [element('button', { type: 'button', onclick: () => void this.load(true) }, 'Show more')]
  }

  /** @param {TeamModel} model */
  buildCard(model) {
    const { id, display_name: name, model_path: path, model_type: type } = model
    // Neither the tensors of the file nor a person says so.
    const base = model.is_base_claimed ? `probably ${model.base_model}` : model.base_model
    const details = element('div', {})
    this.models.set(id, model)
    this.details.set(id, details)
    const card = element(
      'li',
      { draggable: 'true', title: path, ondragstart: (event) => drag(/** @type {DragEvent} */ (event), id) },
      this.pictures.build(model.preview_sha256),
      element('strong', {}, name),
      element('small', {}, [type, base, formatSize(model.file_size)].filter(Boolean).join(' · ')),
      details,
    )
    this.updateCard(id)
    return card
  }

  updateDetails() {
    for (const id of this.models.keys()) this.updateCard(id)
  }

  /** @param {string} id */
  updateCard(id) {
    const model = this.models.get(id)
    const details = this.details.get(id)
    if (!model || !details) return
    const isFetching = this.downloads.active.has(id)
    const progress = this.downloads.active.get(id) ?? null
    const problem = this.downloads.problems.get(id)
    updateChildren(details, [
      element('p', {}, isFetching ? describeProgress(progress) : describeState(model.state)),
      isFetching && buildProgress(progress),
      problem && element('p', { class: 'problem' }, problem),
      !isFetching && this.buildButtons(model),
    ])
  }

  /** @param {TeamModel} model */
  buildButtons(model) {
    const { id, display_name: name, model_path: path, state } = model
    const { fetch, add } = this.actions
    const hasLoader = (path.replace(/^models\//, '').split('/')[0] ?? '') in LOADERS
    return element(
      'div',
      { class: 'modelyard-buttons' },
      state !== 'ready' &&
        fetch &&
        element(
          'button',
          { type: 'button', 'aria-label': `Fetch ${name}`, onclick: () => fetch([id], name) },
          'Fetch here',
        ),
      hasLoader &&
        element(
          'button',
          { type: 'button', 'aria-label': `Add ${name} to the workflow`, onclick: () => add(model) },
          'Add',
        ),
    )
  }

  /** @param {string[]} ids */
  markReady(ids) {
    for (const id of ids) {
      const model = this.models.get(id)
      if (model) model.state = 'ready'
    }
    this.updateDetails()
  }
}

/** @param {string} state a replica state, or `absent` */
function describeState(state) {
  return STATES[/** @type {keyof typeof STATES} */ (state)] ?? 'Should be on this machine'
}

/**
 * @param {DragEvent} event
 * @param {string} id
 */
function drag(event, id) {
  event.dataTransfer?.setData(DRAG_TYPE, id)
  if (event.dataTransfer) event.dataTransfer.effectAllowed = 'copy'
}

/** Loads the pictures of cards as they become visible. */
class PictureLoader {
  constructor() {
    /** @type {Set<string>} */
    this.urls = new Set()
    /** @type {WeakMap<Element, string>} */
    this.hashes = new WeakMap()
    this.observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) void this.load(target)
    })
  }

  /**
   * Build the place of a model's picture.
   *
   * @param {string | null} sha256 null if it has none
   */
  build(sha256) {
    const picture = element('div', { class: 'modelyard-picture' })
    if (sha256) {
      this.hashes.set(picture, sha256)
      this.observer.observe(picture)
    }
    return picture
  }

  /** @param {Element} picture */
  async load(picture) {
    this.observer.unobserve(picture)
    try {
      const url = URL.createObjectURL(await getPreview(this.hashes.get(picture) ?? ''))
      this.urls.add(url)
      picture.replaceChildren(element('img', { src: url, alt: '', draggable: 'false' }))
    } catch {
      // A card without its picture is still of use; the next search tries again.
    }
  }

  clear() {
    this.observer.disconnect()
    for (const url of this.urls) URL.revokeObjectURL(url)
    this.urls.clear()
  }
}
