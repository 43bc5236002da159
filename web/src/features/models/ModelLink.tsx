// A model's name as a link to its details, which can also be opened in another tab.

import { type AnyRouter, useRouter } from '@tanstack/react-router'
import { type MouseEvent, memo } from 'react'
import type { Model } from '@/api/types'
import classes from '@/features/models/models.module.css'
import { type ModelSearch, withChange } from '@/features/models/search'

interface LinkOfModel {
  model: Model
  onOpen: (model: Model) => void
}

/** A plain anchor that uses the router only on click: scrolling renders very many of them. */
export const ModelLink = memo(function ModelLink({ model, onOpen }: LinkOfModel) {
  const router = useRouter()
  const onClick = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    onOpen(model)
  }
  return (
    <a href={hrefOf(router, model)} onClick={onClick} className={classes.name} title={model.display_name}>
      <bdi>{model.display_name}</bdi>
    </a>
  )
})

function hrefOf(router: AnyRouter, model: Model): string {
  const now = router.state.location.search as ModelSearch
  return `/models${router.options.stringifySearch(withChange(now, { model: model.id }))}`
}
