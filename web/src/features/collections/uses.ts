// In which versions a collection uses a model. Pure.

import type { CollectionOfModel } from '@/api/types'

/** `version 1`, or `versions 3 and 1`: those that machines get although they are not the newest; empty without any. */
export function describeOldVersions({ version_list }: CollectionOfModel): string {
  const numbers = version_list.filter(({ is_newest }) => !is_newest).map(({ version }) => String(version))
  if (numbers.length === 0) return ''
  return `${numbers.length === 1 ? 'version' : 'versions'} ${numbers.join(' and ')}`
}
