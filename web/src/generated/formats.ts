// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/folders/names.py
//     wire/formats.py

/** The extensions of model files, in lower case. */
export const EXTENSIONS = [
  '.safetensors',
  '.sft',
  '.gguf',
  '.onnx',
  '.ckpt',
  '.pt',
  '.pt2',
  '.pth',
  '.bin',
  '.pkl',
  '.jit',
]

/** Those of safetensors files. */
export const SAFETENSORS_EXTENSIONS = ['.safetensors', '.sft']

/** Those of pickle files, which can run code when they are loaded. */
export const PICKLE_EXTENSIONS = ['.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl', '.jit']

/** Those of the other files that a folder model may contain. */
export const FOLDER_EXTENSIONS = [
  '.json',
  '.txt',
  '.md',
  '.model',
  '.spm',
  '.tiktoken',
  '.vocab',
  '.bpe',
  '.jinja',
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
]

/** Names without an extension that a folder model may contain. */
export const FOLDER_NAMES = ['license', 'notice', 'readme', 'merges', 'vocab']

/** The largest number of files of a folder model. */
export const MAX_FOLDER_FILES = 20_000

/** The largest picture that the registry accepts. */
export const MAX_PICTURE_BYTES = 10_485_760
