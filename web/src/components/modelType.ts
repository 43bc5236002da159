// Types of models as people say them; the folders of ComfyUI are named in the plural.

const NAMES: Record<string, string> = {
  checkpoints: 'Checkpoint',
  loras: 'LoRA',
  diffusion_models: 'Diffusion model',
  unet: 'Diffusion model',
  text_encoders: 'Text encoder',
  clip: 'Text encoder',
  vae: 'VAE',
  vae_approx: 'VAE preview',
  controlnet: 'ControlNet',
  t2i_adapter: 'T2I adapter',
  embeddings: 'Embedding',
  upscale_models: 'Upscaler',
  latent_upscale_models: 'Latent upscaler',
  clip_vision: 'CLIP vision',
  style_models: 'Style model',
  hypernetworks: 'Hypernetwork',
  gligen: 'GLIGEN',
  photomaker: 'PhotoMaker',
  audio_encoders: 'Audio encoder',
}

/** `loras` → `LoRA`; a folder without a name of its own stays as it is. */
export function formatModelType(type: string): string {
  return (Object.hasOwn(NAMES, type) && NAMES[type]) || type.replaceAll('_', ' ')
}
