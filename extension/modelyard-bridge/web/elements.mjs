// Building the elements of the panel. Names and texts of the registry are set as text, never as HTML.

/** @typedef {import('../../agent_api').ModelProgress} ModelProgress */

/**
 * Create an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean | undefined | ((event: Event) => void)>} attributes `onclick` and the like are
 *   listeners; true is an attribute without a value, false and undefined are none
 * @param {(Node | string | null | undefined | false)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') created.addEventListener(name.replace(/^on/, ''), value)
    else if (value === true) created.setAttribute(name, '')
    else if (value !== false && value !== undefined) created.setAttribute(name, value)
  }
  created.append(...children.filter((child) => child !== null && child !== undefined && child !== false))
  return created
}

/**
 * Add a style sheet to the page.
 *
 * @param {string} url
 */
export function addStyles(url) {
  document.head.append(element('link', { rel: 'stylesheet', href: url }))
}

/**
 * Let an element have these children, and keep those that are equal: replacing a button between the press and the
 * release of the mouse would lose the click. The focus stays on a button of the same name.
 *
 * @param {Element} parent
 * @param {(Node | string | null | undefined | false)[]} children
 */
export function updateChildren(parent, children) {
  const updated = [...element('div', {}, ...children).childNodes]
  const current = [...parent.childNodes]
  const focused = parent.contains(document.activeElement) ? getName(document.activeElement) : null
  for (const [index, child] of updated.entries()) {
    const old = current[index]
    if (!old) parent.append(child)
    else if (!old.isEqualNode(child)) old.replaceWith(child)
  }
  for (const child of current.slice(updated.length)) child.remove()
  if (!focused || parent.contains(document.activeElement)) return
  const button = [...parent.querySelectorAll('button')].find((one) => getName(one) === focused)
  button?.focus()
}

/** @param {Element | null} named */
function getName(named) {
  return named?.getAttribute('aria-label') ?? named?.textContent
}

/**
 * Return a size as people write it: `1.5 GB`.
 *
 * @param {number} bytes
 */
export function formatSize(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let size = bytes
  let unit = 0
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${unit > 0 && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`
}

/**
 * Build a message about what went wrong, with a button.
 *
 * @param {string} problem
 * @param {() => void} onRetry
 */
export function buildProblem(problem, onRetry) {
  const button = element('button', { type: 'button', onclick: onRetry }, 'Try again')
  return element('p', { class: 'problem', role: 'alert' }, problem, ' ', button)
}

/** @param {ModelProgress | null} progress */
export function describeProgress(progress) {
  if (!progress) return 'Requested'
  const { state, received_bytes: received, file_size: size } = progress
  if (state === 'downloading' && size) return `Fetching ${formatSize(received)} of ${formatSize(size)}`
  return { queued: 'Queued', verifying: 'Verifying', ready: 'Fetched' }[state] ?? 'Requested'
}

/** @param {ModelProgress | null} progress */
export function buildProgress(progress) {
  const size = progress?.file_size
  return element('progress', size ? { max: String(size), value: String(progress?.received_bytes ?? 0) } : {})
}
