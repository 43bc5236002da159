// The nodes that load models: which one loads a folder's models, and creating one for a model.

import { findListedName } from './missing_models.mjs'

/** @typedef {import('../../comfyui_page').App} App */
/** @typedef {import('../../comfyui_page').GraphNode} GraphNode */
/** @typedef {import('../../agent_api').TeamModel} TeamModel */

/**
 * The node that is created for a model, and the input that names the file, by the first folder of its path.
 *
 * @type {Record<string, [node: string, input: string]>}
 */
export const LOADERS = {
  audio_encoders: ['AudioEncoderLoader', 'audio_encoder_name'],
  checkpoints: ['CheckpointLoaderSimple', 'ckpt_name'],
  clip: ['CLIPLoader', 'clip_name'],
  clip_vision: ['CLIPVisionLoader', 'clip_name'],
  controlnet: ['ControlNetLoader', 'control_net_name'],
  diffusion_models: ['UNETLoader', 'unet_name'],
  gligen: ['GLIGENLoader', 'gligen_name'],
  hypernetworks: ['HypernetworkLoader', 'hypernetwork_name'],
  latent_upscale_models: ['LatentUpscaleModelLoader', 'model_name'],
  loras: ['LoraLoader', 'lora_name'],
  model_patches: ['ModelPatchLoader', 'name'],
  photomaker: ['PhotoMakerLoader', 'photomaker_model_name'],
  style_models: ['StyleModelLoader', 'style_model_name'],
  t2i_adapter: ['ControlNetLoader', 'control_net_name'],
  text_encoders: ['CLIPLoader', 'clip_name'],
  unet: ['UNETLoader', 'unet_name'],
  upscale_models: ['UpscaleModelLoader', 'model_name'],
  vae: ['VAELoader', 'vae_name'],
}

/** The type of what is dragged from the gallery. */
export const DRAG_TYPE = 'application/x-modelyard-model'

/**
 * Create the node that loads a model, at a position on the canvas.
 *
 * @param {App} app
 * @param {TeamModel} model
 * @param {[number, number]} position
 * @returns {boolean} false if this ComfyUI has no node for it
 */
export function addLoaderNode(app, model, position) {
  const { folder, name } = splitPath(model.model_path)
  const [type, input] = LOADERS[folder] ?? []
  const node = type ? window.LiteGraph.createNode(type) : null
  if (!node) return false
  node.pos = position
  const graph = app.canvas.graph ?? app.graph
  graph.add(node)
  const widget = node.widgets?.find((one) => one.name === input)
  if (widget) {
    widget.value = findListedName(widget.options?.values, name) ?? name
    widget.callback?.(widget.value)
  }
  app.canvas.setDirty(true, true)
  return true
}

/**
 * Return the folder of a registry path, and the name below it: a leading `models/` is left out.
 *
 * @param {string} path
 */
function splitPath(path) {
  const [folder = '', ...rest] = path.replace(/^models\//, '').split('/')
  return { folder, name: rest.join('/') }
}

/**
 * Create loader nodes for the models that are dropped on the canvas.
 *
 * @param {App} app
 * @param {(id: string) => TeamModel | undefined} findModel
 * @param {(model: TeamModel) => void} onUnknown called if this ComfyUI has no node for the model
 */
export function acceptDrops(app, findModel, onUnknown) {
  // In the capture phase: the page's own handler takes everything that is dropped for a file.
  document.addEventListener('dragover', (event) => isOverCanvas(app, event) && event.preventDefault(), true)
  document.addEventListener(
    'drop',
    (event) => {
      const model = isOverCanvas(app, event) ? findModel(event.dataTransfer?.getData(DRAG_TYPE) ?? '') : undefined
      if (!model) return
      event.preventDefault()
      event.stopPropagation()
      const position = app.clientPosToCanvasPos([event.clientX, event.clientY])
      if (!addLoaderNode(app, model, position)) onUnknown(model)
    },
    true,
  )
}

/**
 * Return whether a model of the gallery is dragged over the canvas itself, and not over a dialog or a text field on it.
 *
 * @param {App} app
 * @param {DragEvent} event
 */
function isOverCanvas(app, event) {
  return Boolean(event.dataTransfer?.types.includes(DRAG_TYPE)) && event.target === app.canvas.canvas
}
