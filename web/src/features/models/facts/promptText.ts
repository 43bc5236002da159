// How a model is named in ComfyUI and in a prompt.

import type { Model } from '@/api/types'
import { canonicalType } from '@/features/upload/engine/checkPath'

const DEFAULT_WEIGHT = 1

/** Return the file name that ComfyUI's loaders list: the path below the type's folder. */
export function getLoaderName({ model_path }: Pick<Model, 'model_path'>): string {
  return model_path.replace(/^models\//, '').replace(/^[^/]+\//, '')
}

/** Return the text that LoRA loaders for prompts read; undefined for other types. */
export function getPromptText(model: Pick<Model, 'model_path' | 'model_type'>, weight: number): string | undefined {
  if (canonicalType(model.model_type) !== 'loras') return undefined
  const stem = (model.model_path.split('/').at(-1) ?? '').replace(/(.)\.[^.]*$/, '$1')
  return `<lora:${stem}:${weight}>`
}

/** Return the weight that a usage hint names: of a range, the middle; without a hint, 1. */
export function parseWeight(hint: string | null | undefined): number {
  const numbers = (hint?.match(/\d+(?:[.,]\d+)?/g) ?? [])
    .map((text) => Number(text.replace(',', '.')))
    .filter((number) => number > 0 && number <= 2)
    .slice(0, 2)
  if (numbers.length === 0) return DEFAULT_WEIGHT
  const middle = numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  return Math.round(middle * 10 + 1e-9) / 10 || DEFAULT_WEIGHT
}
