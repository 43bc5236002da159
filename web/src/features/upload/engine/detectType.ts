// Detects the type of a model from the header of its file, like comfyui/type_detection.py; their tests share cases.

// What follows the name of a layer in the tensors that a LoRA, or the like, has for it.
const LORA_MARK = /lora_(?:down|up|A|B)|(?<=\.)lora\.|lokr_w|hada_w|dora_scale/
// What follows it in a full model, also if its layers contain LoRAs: Nunchaku's quantized models, and PEFT's unmerged.
const FULL_WEIGHTS = ['weight', 'qweight', 'base_layer.weight']
const CONTROL_STARTS = ['control_model.', 'controlnet_cond_embedding.', 'controlnet_blocks.']
const ENCODER_STARTS = ['text_model.encoder.', 'encoder.block.0.layer.', 'model.layers.0.self_attn.', 'text_encoders.']
const DIFFUSION_STARTS = [
  'model.diffusion_model.',
  'double_blocks.',
  'transformer_blocks.',
  'joint_blocks.',
  'diffusion_model.',
]
const CHECKPOINT_PARTS = ['first_stage_model.', 'conditioner.', 'cond_stage_model.', 'vae.', 'text_encoders.']
const CODER_STARTS = ['encoder.conv', 'encoder.down', 'decoder.conv', 'decoder.up']
const EMBEDDING_NAMES = ['emb_params', 'clip_l', 'clip_g']
const GGUF_ENCODERS = ['t5', 't5encoder', 'llama', 'qwen2', 'qwen2vl', 'qwen3', 'gemma2', 'gemma3', 'clip']
const GGUF_DIFFUSION = [
  ...['sd1', 'sdxl', 'sd3', 'flux', 'aura', 'hidream', 'cosmos', 'ltxv', 'hyvid', 'wan', 'lumina2', 'qwen_image'],
]

/** Detect the model type from tensor names. */
export function detectTypeByTensors(names: string[]): string | undefined {
  const starts = (beginnings: string[]) => names.some((name) => beginnings.some((one) => name.startsWith(one)))
  const rules: [string, () => boolean][] = [
    ['photomaker', () => starts(['id_encoder.']) && starts(['lora_weights.'])],
    ['loras', () => isLora(names)],
    ['controlnet', () => starts(CONTROL_STARTS)],
    ['checkpoints', () => starts(['model.diffusion_model.']) && starts(CHECKPOINT_PARTS)],
    ['diffusion_models', () => starts(DIFFUSION_STARTS)],
    ['vae', () => starts(['decoder.']) && starts(CODER_STARTS)],
    ['clip_vision', () => starts(['vision_model.']) && !starts(['text_model.'])],
    ['text_encoders', () => starts(ENCODER_STARTS)],
    ['embeddings', () => names.length > 0 && names.every((name) => EMBEDDING_NAMES.includes(name))],
  ]
  return rules.find(([, fits]) => fits())?.[0]
}

/** Return whether tensor names are those of a LoRA or the like; false for a full model with LoRAs in its layers. */
function isLora(names: string[]): boolean {
  const layers = new Set(
    names.filter((name) => LORA_MARK.test(name)).map((name) => name.slice(0, name.search(LORA_MARK))),
  )
  const all = new Set(names)
  const full = [...layers].filter((layer) => FULL_WEIGHTS.some((weight) => all.has(layer + weight)))
  return 2 * full.length < layers.size
}

/** Detect the model type from `general.architecture`, which writers put first. */
export function detectTypeByGguf(head: Uint8Array): string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  try {
    const [key, offset] = readGgufText(view, 24)
    if (key !== 'general.architecture' || view.getUint32(offset, true) !== 8) return undefined
    const [architecture] = readGgufText(view, offset + 4)
    if (GGUF_ENCODERS.includes(architecture)) return 'text_encoders'
    return GGUF_DIFFUSION.includes(architecture) ? 'diffusion_models' : undefined
  } catch {
    // The header is truncated: no type is detected.
    return undefined
  }
}

function readGgufText(view: DataView, offset: number): [string, number] {
  const length = Math.min(Number(view.getBigUint64(offset, true)), view.byteLength)
  const text = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + offset + 8, length))
  return [text, offset + 8 + length]
}
