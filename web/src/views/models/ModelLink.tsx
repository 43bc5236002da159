// A model's name as the way to its details: an address of its own, that can also be opened in another tab.

import { Link } from '@tanstack/react-router'
import type { Model } from '@/api/types'
import classes from '@/views/models/models.module.css'
import { withChange } from '@/views/models/search'

export function ModelLink({ model }: { model: Model }) {
  return (
    <Link
      from="/models"
      search={(now) => withChange(now, { model: model.id })}
      resetScroll={false}
      preload={false}
      className={classes.name}
      activeProps={{ 'aria-current': undefined }}
      title={model.display_name}
    >
      <bdi>{model.display_name}</bdi>
    </Link>
  )
}
