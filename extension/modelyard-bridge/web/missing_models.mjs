// Which models of the open workflow ComfyUI does not list.

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../comfyui_page').Graph} Graph */
/** @typedef {import('../../comfyui_page').GraphNode} GraphNode */
/** @typedef {import('../../comfyui_page').Widget} Widget */

/**
 * A file that nodes of a type name in an input; `listed` is its name in ComfyUI's list, with the list's slashes, or
 * null. Files of the same name in other inputs are other files.
 *
 * @typedef {{ key: string, type: string, input: string, name: string, listed: string | null, folder: string | null,
 *   url: string | null }} NamedFile
 */

// A test compares them with the formats that the registry takes.
const MODEL_NAME = /\.(?:safetensors|sft|gguf|onnx|ckpt|pt|pt2|pth|bin|pkl|jit)$/i
const MUTED = 2
const BYPASSED = 4

/**
 * Return the missing files of the open workflow, each once.
 *
 * Newer pages have a list of their own (`refreshMissingModels`), but asking for it makes them send requests to the
 * addresses that the workflow names, and ends a search of theirs that runs.
 *
 * @param {App} app
 * @returns {NamedFile[]}
 */
export function findMissingFiles(app) {
  return groupFiles(listNamedFiles(app).filter(({ name, listed }) => name !== listed))
}

/**
 * Let the nodes that name a file name it as ComfyUI's list does.
 *
 * @param {App} app
 * @param {NamedFile} file
 */
export function applyListedName(app, { key, listed }) {
  for (const { widget, file } of walkFiles(app)) {
    if (file.key !== key || listed === null) continue
    widget.value = listed
    widget.callback?.(listed)
  }
  app.canvas.setDirty(true, true)
}

/**
 * Read ComfyUI's lists of files anew, and let the page update what it shows as missing.
 *
 * @param {App} app
 */
export async function refreshLists(app) {
  if (app.refreshMissingModels) await app.refreshMissingModels({ silent: true })
  else await app.refreshComboInNodes()
}

/**
 * Return the model files that active nodes name in lists of files, from the page's own objects.
 *
 * @param {App} app
 * @returns {NamedFile[]}
 */
export function listNamedFiles(app) {
  return [...walkFiles(app)].map(({ file }) => file)
}

/**
 * Yield the model files that active nodes name in lists of files, with the widgets that name them.
 *
 * @param {App} app
 * @returns {Generator<{ widget: Widget, file: NamedFile }>}
 */
function* walkFiles(app) {
  for (const node of walkNodes(app.rootGraph ?? app.graph)) {
    for (const widget of node.widgets ?? []) {
      const name = widget.value
      if (typeof name !== 'string' || !MODEL_NAME.test(name)) continue
      const options = listOptions(widget, node)
      if (!options || isConnected(node, widget)) continue
      const { directory = null, url = null } = node.properties?.models?.find((one) => one.name === name) ?? {}
      const key = JSON.stringify([node.type, widget.name, normalizeName(name)])
      const listed = findListedName(options, name)
      yield { widget, file: { key, type: node.type, input: widget.name, name, listed, folder: directory, url } }
    }
  }
}

/**
 * Return the name in a list for a file, with the list's own slashes; null if it is not listed.
 *
 * @param {unknown} values
 * @param {string} name
 * @returns {string | null}
 */
export function findListedName(values, name) {
  if (!Array.isArray(values)) return null
  if (values.includes(name)) return name
  return values.find((one) => normalizeName(String(one)) === normalizeName(name)) ?? null
}

/**
 * Yield the active nodes of a graph and of its subgraphs, those of a subgraph that several nodes share once.
 *
 * @param {Graph | undefined} graph
 * @param {Set<Graph>} visited
 * @returns {Generator<GraphNode>}
 */
function* walkNodes(graph, visited = new Set()) {
  if (!graph || visited.has(graph)) return
  visited.add(graph)
  for (const node of graph.nodes) {
    if (node.mode === MUTED || node.mode === BYPASSED) continue
    yield node
    yield* walkNodes(node.subgraph, visited)
  }
}

/**
 * Return the choices of a list widget; null if it is none.
 *
 * @param {Widget} widget
 * @param {GraphNode} node
 * @returns {unknown[] | null}
 */
function listOptions(widget, node) {
  const values = widget.options?.values
  if (typeof values === 'function') return values(widget, node) ?? null
  return Array.isArray(values) ? values : null
}

/**
 * Return whether another node sets the widget's value, so that the stored one is not used.
 *
 * @param {GraphNode} node
 * @param {Widget} widget
 */
function isConnected(node, widget) {
  const slot = node.inputs?.findIndex((input) => input.widget?.name === widget.name) ?? -1
  return slot >= 0 && node.isInputConnected(slot)
}

/**
 * Return each file once.
 *
 * @param {NamedFile[]} files
 * @returns {NamedFile[]}
 */
function groupFiles(files) {
  /** @type {Map<string, NamedFile>} */
  const found = new Map()
  for (const file of files) {
    const known = found.get(file.key)
    found.set(file.key, { ...file, folder: known?.folder ?? file.folder, url: known?.url ?? file.url })
  }
  return [...found.values()]
}

/**
 * Return a name with forward slashes; Windows writes backslashes.
 *
 * @param {string} name
 */
export function normalizeName(name) {
  return name.replaceAll('\\', '/')
}
