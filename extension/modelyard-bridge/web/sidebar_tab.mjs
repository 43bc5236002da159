// The sidebar tab "Modelyard": the open workflow's missing models, and the team's models.

import { getMessage, getStatus } from './agent_requests.mjs'
import { buildProblem, element } from './elements.mjs'
import { Gallery } from './gallery.mjs'
import { acceptDrops, addLoaderNode } from './loader_nodes.mjs'
import { MissingSection } from './missing_panel.mjs'
import { PushPanel } from './push_panel.mjs'

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../agent_api').AgentStatus} AgentStatus */
/** @typedef {import('../../agent_api').TeamModel} TeamModel */
/** @typedef {import('./downloads.mjs').Downloads} Downloads */
/** @typedef {import('./workflow_models.mjs').WorkflowModels} WorkflowModels */

const ID = 'modelyard'
// The page draws the tab anew more often than the user opens it.
const STALE_MILLISECONDS = 30_000

export class SidebarTab {
  /**
   * @param {App} app
   * @param {WorkflowModels} workflow
   * @param {Downloads} downloads
   */
  constructor(app, workflow, downloads) {
    this.app = app
    this.workflow = workflow
    this.downloads = downloads
    this.openedAt = 0
    /** @type {(ids: string[], name: string) => void} */
    this.onFetch = (ids, name) => void this.fetch(ids, name)
    this.gallery = new Gallery(downloads, { fetch: this.onFetch, add: (model) => this.addNode(model) })
    this.status = element('div', { role: 'status' })
    this.missing = new MissingSection(workflow)
    this.pushes = new PushPanel(app)
    this.root = element(
      'div',
      { class: 'modelyard' },
      this.status,
      this.missing.root,
      this.pushes.root,
      this.gallery.root,
    )
    workflow.addEventListener('change', () => this.update())
    downloads.addEventListener('change', () => this.update())
  }

  register() {
    this.app.extensionManager.registerSidebarTab({
      id: ID,
      icon: 'pi pi-box',
      title: 'Modelyard',
      tooltip: "Models of your team's modelyard registry",
      type: 'custom',
      iconBadge: '',
      render: (container) => {
        container.replaceChildren(this.root)
        if (Date.now() > this.openedAt + STALE_MILLISECONDS) void this.open()
      },
    })
    acceptDrops(
      this.app,
      (id) => this.gallery.models.get(id),
      (model) => this.tellNoLoader(model),
    )
  }

  /** Load what the tab shows. */
  async open() {
    this.openedAt = Date.now()
    this.update()
    void this.workflow.scan()
    try {
      const status = await getStatus()
      this.showStatus(status)
      if (status.is_registry_reachable) await this.gallery.load()
    } catch (error) {
      this.status.replaceChildren(buildProblem(getMessage(error), () => void this.open()))
    }
  }

  /**
   * Show the team and machine, and why nothing can be fetched.
   *
   * @param {AgentStatus} status
   */
  showStatus(status) {
    this.pushes.setHint(status.may_push ? null : (status.push_hint ?? 'This machine cannot push.'))
    // Null before the registry said it; then it answers the request.
    const isForbidden = status.may_fetch === false
    this.gallery.actions.fetch = isForbidden ? null : this.onFetch
    const problem = `The registry cannot be reached. ${status.problem ?? ''}`
    this.status.replaceChildren(
      element('small', {}, [status.team_name, status.machine_name].filter(Boolean).join(' · ')),
      status.is_registry_reachable ? '' : buildProblem(problem, () => void this.open()),
      !isForbidden ? '' : element('p', {}, 'Your team does not allow machines to request models. Ask an admin.'),
    )
    this.gallery.updateDetails()
    this.update()
  }

  /** Show the current state in the panel and in the badge of its button. */
  update() {
    this.missing.onFetch = this.gallery.actions.fetch
    this.missing.update()
    this.setBadge(this.workflow.missing.length)
  }

  /** @param {number} count */
  setBadge(count) {
    // The page's list is reactive: setting a property of its entry updates the button.
    const entry = this.app.extensionManager.getSidebarTabs?.().find(({ id }) => id === ID)
    const badge = count ? String(count) : ''
    if (entry && entry.iconBadge !== badge) entry.iconBadge = badge
  }

  /**
   * @param {string[]} ids
   * @param {string} name
   */
  async fetch(ids, name) {
    const count = await this.downloads.fetch(ids)
    if (count) this.showToast('success', count === ids.length ? `Fetched ${name}` : `Fetched ${count} models`)
  }

  /**
   * Add the node that loads a model in the middle of what the canvas shows.
   *
   * @param {TeamModel} model
   */
  addNode(model) {
    const { left, top, width, height } = this.app.canvas.canvas.getBoundingClientRect()
    const position = this.app.clientPosToCanvasPos([left + width / 2, top + height / 2])
    if (!addLoaderNode(this.app, model, position)) this.tellNoLoader(model)
  }

  /** @param {TeamModel} model */
  tellNoLoader(model) {
    this.showToast('error', `This ComfyUI has no node that loads ${model.model_path}`)
  }

  /**
   * Show a notice in the page's own way.
   *
   * @param {'success' | 'error'} severity
   * @param {string} text
   */
  showToast(severity, text) {
    const { toast } = this.app.extensionManager
    const show = toast[severity]
    if (show) show(text)
    else toast.add({ severity, summary: text, life: 5000 })
  }
}
