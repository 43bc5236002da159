// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     comfyui/model_files/safetensors.py
//     comfyui/model_files/unexpected_files.py

/** The number of bytes at the start of a file that show its format. */
export const HEAD_BYTES = 4_096

/** The largest header of a safetensors file that the registry reads. */
export const MAX_SAFETENSORS_HEADER_BYTES = 16_777_216

/** The largest header that the reference reader of safetensors reads. */
export const REFERENCE_MAX_SAFETENSORS_HEADER_BYTES = 100_000_000
