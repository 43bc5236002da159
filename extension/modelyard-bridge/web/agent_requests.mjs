// Requests to the extension's own routes in ComfyUI, which pass them to the machine's agent.

/** @typedef {import('../../agent_api').AgentStatus} AgentStatus */
/** @typedef {import('../../agent_api').ModelPage} ModelPage */
/** @typedef {import('../../agent_api').FetchResult} FetchResult */
/** @typedef {import('../../agent_api').ProgressReport} ProgressReport */
/** @typedef {import('../../agent_api').PushReport} PushReport */
/** @typedef {import('../../agent_api').WorkflowReport} WorkflowReport */
/** @typedef {import('../../agent_api').WorkflowPush} WorkflowPush */

/** A request that failed; the message is for people. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {string} type the problem's name, such as `agent-unavailable`
   * @param {Record<string, unknown>} [facts] all fields of the problem
   */
  constructor(message, type, facts = {}) {
    super(message)
    this.type = type
    this.facts = facts
  }
}

/** @returns {Promise<AgentStatus>} */
export const getStatus = async () => (await post('status', {})).json()

/**
 * @param {{ q: string, model_type?: string, cursor?: string, limit?: number }} search
 * @returns {Promise<ModelPage>}
 */
export const listModels = async (search) => (await post('models', search)).json()

/**
 * @param {object} workflow
 * @returns {Promise<WorkflowReport>}
 */
export const checkWorkflow = async (workflow) => (await post('workflow-check', { workflow })).json()

/**
 * Ask that this machine gets these models.
 *
 * @param {string[]} modelIds
 * @returns {Promise<FetchResult>}
 */
export const fetchModels = async (modelIds) => (await post('fetch', { model_ids: modelIds })).json()

/**
 * @param {string[]} modelIds
 * @returns {Promise<ProgressReport>}
 */
export const getProgress = async (modelIds) => (await post('progress', { model_ids: modelIds })).json()

/**
 * Push a file that ComfyUI lists to the team, or a workflow as a collection; the same request again tells how far it is.
 *
 * @param {{ folder: string, path: string } | WorkflowPush} what
 * @returns {Promise<PushReport>}
 */
export const push = async (what) => (await post('push', what)).json()

/**
 * Return a picture of a model.
 *
 * @param {string} sha256
 * @returns {Promise<Blob>}
 */
export const getPreview = async (sha256) => (await post('preview', { sha256 })).blob()

/**
 * @param {string} name
 * @param {object} body
 * @returns {Promise<Response>}
 */
async function post(name, body) {
  let response
  try {
    response = await fetch(new URL(`../../api/modelyard/${name}`, import.meta.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Modelyard': '1' },
      body: JSON.stringify(body),
    })
  } catch {
    throw new RequestError('ComfyUI does not answer.', 'comfyui-unavailable')
  }
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  const type = String(problem.type ?? '').replace('/problems/', '')
  throw new RequestError(problem.detail || problem.title || `The request failed (${response.status}).`, type, problem)
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function getMessage(error) {
  return error instanceof Error ? error.message : String(error)
}
