// The names of pictures: the ones that belong to a model have its stem, its name without the extension.

import { getExtension } from '@/features/upload/engine/suggestPath'
import { MAX_PICTURE_BYTES } from '@/generated/formats'

export const PICTURE_EXTENSIONS = ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.avif']

/** Return whether the registry may accept a picture, by its size. */
export function isSendable({ size }: File): boolean {
  return size > 0 && size <= MAX_PICTURE_BYTES
}

export function isPicture(relativePath: string): boolean {
  return PICTURE_EXTENSIONS.includes(getExtension(getName(relativePath)))
}

/** `loras/ink.preview.png` and `loras/ink.png` → `ink`, in one case. */
export function getPictureStem(relativePath: string): string {
  return getStem(relativePath).replace(/(.)\.preview$/i, '$1')
}

export function getStem(path: string): string {
  return getName(path)
    .replace(/(.)\.[^.]*$/, '$1')
    .toLowerCase()
}

/** `loras/ink.png` → `ink.png` */
export function getName(path: string): string {
  return path.split('/').at(-1) ?? ''
}
