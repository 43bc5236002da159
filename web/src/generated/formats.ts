// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/formats.py

/** The extensions of model files, in lower case. */
export const EXTENSIONS = ['.safetensors', '.sft', '.gguf', '.onnx', '.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl']

/** Those of safetensors files. */
export const SAFETENSORS_EXTENSIONS = ['.safetensors', '.sft']

/** Those of pickle files, which can run code when they are loaded. */
export const PICKLE_EXTENSIONS = ['.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl']
