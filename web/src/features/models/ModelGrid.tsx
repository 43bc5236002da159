// The list of models as cards.

import { Group, Text } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useRef } from 'react'
import type { Model } from '@/api/types'
import { formatBytes } from '@/components/format'
import { ModelLink } from '@/features/models/ModelLink'
import { SelectBox } from '@/features/models/ModelRow'
import { MachineCount, Status, Verification, VersionMarks } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import { Tags } from '@/features/models/Tags'
import { type ModelListProps, useVisibleRows } from '@/features/models/useVisibleRows'

const CARD_WIDTH = 252
const ROW_HEIGHT = 160

export function ModelGrid(list: ModelListProps) {
  const place = useRef<HTMLDivElement>(null)
  const { ref, width } = useElementSize()
  const columns = Math.max(1, Math.floor(width / CARD_WIDTH))
  const { items, before, after } = useVisibleRows(place, {
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

function Card({ model, list }: { model: Model; list: ModelListProps }) {
  const isMarked = list.selection.has(model.id)
  return (
    <li className={classes.card} data-marked={isMarked || undefined}>
      <Group gap="xs" wrap="nowrap" align="flex-start">
        <div style={{ flex: 1, minWidth: 0 }}>
          <div className={classes.heading}>
            <ModelLink model={model} onOpen={list.onOpen} />
            <VersionMarks model={model} />
          </div>
          <bdi className={classes.path}>{model.model_path}</bdi>
        </div>
        {list.hasMarks && (
          <div className={classes.above}>
            <SelectBox model={model} isMarked={isMarked} mayMark={list.mayMark(model)} onMark={list.selection.toggle} />
          </div>
        )}
      </Group>
      <Text size="sm" c="dimmed" truncate>
        {formatBytes(model.file_size)} · <bdi>{model.model_type}</bdi>
      </Text>
      <Group gap="md" wrap="nowrap">
        <Verification model={model} />
        {model.model_status === 'disabled' ? <Status model={model} /> : <MachineCount model={model} />}
      </Group>
      <div style={{ marginTop: 'auto' }}>
        <Tags tags={model.tags} />
      </div>
    </li>
  )
}
