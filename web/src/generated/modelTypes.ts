// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/model_folders.py

/** The folders of models that ComfyUI itself knows. */
export const MODEL_TYPES = [
  'checkpoints',
  'loras',
  'diffusion_models',
  'text_encoders',
  'vae',
  'controlnet',
  'embeddings',
  'upscale_models',
  'clip_vision',
  'style_models',
  'model_patches',
  'audio_encoders',
  'background_removal',
  'detection',
  'frame_interpolation',
  'geometry_estimation',
  'gligen',
  'hypernetworks',
  'latent_upscale_models',
  'optical_flow',
  'photomaker',
  't2i_adapter',
  'vae_approx',
  'unet',
  'clip',
]

/** The folders of well-known custom nodes. */
export const NODE_FOLDERS = [
  'animatediff_models',
  'animatediff_motion_lora',
  'BiRefNet',
  'blip',
  'CatVTON',
  'CogVideo',
  'depthanything',
  'depthanything3',
  'facedetection',
  'facerestore_models',
  'grounding-dino',
  'inpaint',
  'insightface',
  'instantid',
  'ipadapter',
  'layer_model',
  'liveportrait',
  'LLM',
  'llm_gguf',
  'mmdets',
  'onnx',
  'prompt_generator',
  'pulid',
  'reactor',
  'rembg',
  'RMBG',
  'sam2',
  'sams',
  'SEEDVR2',
  'ultralytics',
  'xlabs',
]

/** The folders in which a model is a folder of files. */
export const FOLDER_MODEL_TYPES = ['diffusers', 'LLM']

/** The models folder of ComfyUI that has the models of another folder. */
export const KEY_BY_FOLDER: Readonly<Record<string, string>> = { t2i_adapter: 'controlnet' }

/** The models folders of A1111 that ComfyUI names otherwise, in lower case. */
export const A1111_FOLDERS: Readonly<Record<string, string>> = {
  'stable-diffusion': 'checkpoints',
  lora: 'loras',
  lycoris: 'loras',
  esrgan: 'upscale_models',
  realesrgan: 'upscale_models',
  swinir: 'upscale_models',
}
