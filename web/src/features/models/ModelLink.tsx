// A model's name as a link to its details, which can also be opened in another tab.

import { type AnyRouter, useRouter } from '@tanstack/react-router'
import { type MouseEvent, memo } from 'react'
import type { Model } from '@/api/types'
import { type ModelSearch, withChange } from '@/features/models/search'

interface LinkOfModel {
  model: Model
  className?: string | undefined
  tabIndex: number
  onOpen: (model: Model) => void
}

/** A plain anchor that uses the router only on click: scrolling renders very many of them. */
export const ModelLink = memo(function ModelLink({ model, className, tabIndex, onOpen }: LinkOfModel) {
  const router = useRouter()
  const onClick = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    onOpen(model)
  }
  return (
    <a
      href={hrefOf(router, model)}
      onClick={onClick}
      className={className}
      title={model.display_name}
      tabIndex={tabIndex}
      data-name
    >
      <bdi>{model.display_name}</bdi>
    </a>
  )
})

/** The model's own page, which keeps the search for its way back. */
function hrefOf(router: AnyRouter, model: Model): string {
  const now = router.state.location.search as ModelSearch
  return `/models/${model.id}${router.options.stringifySearch(withChange(now, { model: undefined }))}`
}
