// What the signed-in person may change about collections.

import { usePermissions } from '@/api/permissions'
import type { Collection, CollectionSummary } from '@/api/types'

export function useCollectionRights() {
  const { may, mayChange } = usePermissions()
  const mayEdit = (collection: Collection | CollectionSummary) => may('collections_edit') && mayChange(collection)
  return {
    mayEdit,
    /** A new version of a pinned collection changes what machines hold, as subscribing does. */
    mayChangeModels: (collection: Collection | CollectionSummary) =>
      mayEdit(collection) && (!collection.is_pinned || may('collections_subscribe')),
    maySubscribe: may('collections_subscribe'),
  }
}
