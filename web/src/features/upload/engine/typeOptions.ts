// The type folders that a field offers.

import { FOLDER_MODEL_TYPES, MODEL_TYPES } from '@/generated/modelTypes'

/** Return the types to choose from: also the current one, if it is no folder of ComfyUI itself. */
export function buildTypeOptions(modelType: string, isFolder = false) {
  const types = isFolder ? [...FOLDER_MODEL_TYPES, ...MODEL_TYPES] : MODEL_TYPES
  const unknown = modelType === '' ? [{ value: '', label: 'Choose…' }] : []
  const own = modelType !== '' && !types.includes(modelType) ? [modelType] : []
  return [...unknown, ...own, ...types]
}
