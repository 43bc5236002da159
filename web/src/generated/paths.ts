// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/paths.py

/** The canonical model type of each alias. */
export const TYPE_ALIASES: Readonly<Record<string, string>> = { unet: 'diffusion_models', clip: 'text_encoders' }

/** Folders of ComfyUI without models, in lower case. */
export const NON_MODEL_FOLDERS = ['configs', 'custom_nodes', 'datasets', 'fonts']

/** The largest number of folders and file name together. */
export const MAX_SEGMENTS = 8

/** The longest folder or file name. */
export const MAX_SEGMENT_BYTES = 120

/** The longest path. */
export const MAX_PATH_BYTES = 400

/** A regular expression of the names that Windows reserves for devices, in any letter case. */
export const DEVICE_NAME_PATTERN = '(con|prn|aux|nul|conin\\$|conout\\$|(com|lpt)[0-9¹²³])'

/** A regular expression of each letter that is rendered as nothing. */
export const INVISIBLE_LETTER_PATTERN = '[\\u115f\\u1160\\u3164\\uffa0]'
