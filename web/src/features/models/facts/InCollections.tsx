// The collections that have a model, as a row of what it is; no row if there are none.

import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { AnchorLink } from '@/components/links'
import { useCollectionsOfModel } from '@/features/collections/queries'
import { describeOldVersions } from '@/features/collections/uses'
import { Row } from '@/features/models/details/Section'

export function InCollections({ model }: { model: Model }) {
  const { may } = usePermissions()
  const { data = [] } = useCollectionsOfModel(model.id, may('collections_read') && !model.deleted_at)
  if (data.length === 0) return null
  return (
    <Row name="In collections">
      {data.map((use, place) => (
        <span key={use.id}>
          {place > 0 && ', '}
          <AnchorLink to="/collections/$id" params={{ id: use.id }} search={{}} size="sm" underline="always">
            <bdi>{use.name}</bdi>
          </AnchorLink>
          {describeOldVersions(use) && ` (${describeOldVersions(use)} on machines)`}
        </span>
      ))}
    </Row>
  )
}
