// A model's name as the way to its details: an address of its own, that can also be opened in another tab.

import { type MouseEvent, memo } from 'react'
import type { Model } from '@/api/types'
import { router } from '@/app/router'
import classes from '@/views/models/models.module.css'
import { type ModelSearch, withChange } from '@/views/models/search'

interface LinkOfModel {
  model: Model
  onOpen: (model: Model) => void
}

/** A plain link, which follows the router by its click alone: a list makes very many while one scrolls. */
export const ModelLink = memo(function ModelLink({ model, onOpen }: LinkOfModel) {
  const onClick = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    onOpen(model)
  }
  return (
    <a href={hrefOf(model)} onClick={onClick} className={classes.name} title={model.display_name}>
      <bdi>{model.display_name}</bdi>
    </a>
  )
})

function hrefOf(model: Model): string {
  const now = router.state.location.search as ModelSearch
  return `/models${router.options.stringifySearch(withChange(now, { model: model.id }))}`
}
