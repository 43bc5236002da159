// The list of models as cards, as many in a row as have room.

import { Group, Text } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useRef } from 'react'
import type { Model } from '@/api/types'
import { bytes } from '@/parts/words'
import { type ListOfModels, useRowsInSight } from '@/views/models/list'
import { ModelLink } from '@/views/models/ModelLink'
import classes from '@/views/models/models.module.css'
import { Mark, Tags } from '@/views/models/Row'
import { Reach, Status, Verification } from '@/views/models/State'

const CARD_WIDTH = 252
const ROW_HEIGHT = 160

export function Grid(list: ListOfModels) {
  const place = useRef<HTMLDivElement>(null)
  const { ref, width } = useElementSize()
  const columns = Math.max(1, Math.floor(width / CARD_WIDTH))
  const { items, before, after } = useRowsInSight(place, {
    count: Math.ceil(list.rows.length / columns),
    height: ROW_HEIGHT,
    hasMore: list.hasMore,
    onMore: list.onMore,
  })
  const from = (items[0]?.index ?? 0) * columns
  const to = ((items.at(-1)?.index ?? -1) + 1) * columns
  return (
    <div ref={place} className={classes.list}>
      <div ref={ref}>
        <div style={{ height: before }} />
        <ul
          aria-label="Models"
          className={classes.grid}
          style={{ gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}
        >
          {list.rows.slice(from, to).map((model) => (
            <Card key={model.id} model={model} list={list} />
          ))}
        </ul>
        <div style={{ height: after }} />
      </div>
    </div>
  )
}

function Card({ model, list }: { model: Model; list: ListOfModels }) {
  const isMarked = list.selection.has(model.id)
  return (
    <li className={classes.card} data-marked={isMarked || undefined}>
      <Group gap="xs" wrap="nowrap" align="flex-start">
        <div style={{ flex: 1, minWidth: 0 }}>
          <ModelLink model={model} onOpen={list.onOpen} />
          <bdi className={classes.path}>{model.model_path}</bdi>
        </div>
        {list.hasMarks && (
          <div className={classes.above}>
            <Mark model={model} isMarked={isMarked} mayMark={list.mayMark(model)} onMark={list.selection.toggle} />
          </div>
        )}
      </Group>
      <Text size="sm" c="dimmed" truncate>
        {bytes(model.file_size)} · <bdi>{model.model_type}</bdi>
      </Text>
      <Group gap="md" wrap="nowrap">
        <Verification model={model} />
        {model.model_status === 'disabled' ? <Status model={model} /> : <Reach model={model} />}
      </Group>
      <div style={{ marginTop: 'auto' }}>
        <Tags tags={model.tags} />
      </div>
    </li>
  )
}
