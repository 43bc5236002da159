// The base model of a model where there is little room: a question mark says that it is only claimed.

import classes from '@/components/BaseModelName.module.css'
import { BASE_SOURCES, type Based, isBaseClaimed } from '@/components/baseModel'

/** A plain element each: scrolling renders very many of them. The name is cut where it does not fit, the mark never. */
export function BaseModelName({ model }: { model: Based }) {
  const { base_model: name, base_source: source } = model
  if (!name) return null
  if (!source || !isBaseClaimed(model)) return <bdi className={classes.name}>{name}</bdi>
  const reason = `Probably: ${BASE_SOURCES[source]}`
  return (
    <span className={classes.claimed}>
      <bdi className={classes.name}>{name}</bdi>
      <span className={classes.mark} title={reason} aria-hidden>
        ?
      </span>
      <span className={classes.hidden}>. {reason}</span>
    </span>
  )
}
