// The list of models as a table. Of its rows only those near the window exist; the rest is kept free by two empty ones.

import { UnstyledButton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { useRef } from 'react'
import { type ListOfModels, useRowsInSight } from '@/views/models/list'
import classes from '@/views/models/models.module.css'
import { useGo, useModelSearch } from '@/views/models/place'
import { Row, type RowKind } from '@/views/models/Row'

const HEIGHT = 60
const NARROW_HEIGHT = 84
const NARROW = '(max-width: 48em)'

export function Table({ kind, ...list }: ListOfModels & { kind: RowKind }) {
  const body = useRef<HTMLTableSectionElement>(null)
  const isNarrow = useMediaQuery(NARROW, window.matchMedia(NARROW).matches, { getInitialValueInEffect: false })
  const { items, before, after } = useRowsInSight(body, {
    count: list.rows.length,
    height: isNarrow ? NARROW_HEIGHT : HEIGHT,
    hasMore: list.hasMore,
    onMore: list.onMore,
  })
  return (
    <table className={classes.table} aria-rowcount={list.total === undefined ? -1 : list.total + 1}>
      <caption style={{ position: 'absolute', clipPath: 'inset(50%)', width: 1, height: 1, overflow: 'hidden' }}>
        {kind === 'trash' ? 'Deleted models' : 'Models'}
      </caption>
      <Head kind={kind} {...list} />
      <tbody ref={body} aria-hidden="true">
        <Spacer height={before} />
      </tbody>
      <tbody>
        {items.map(({ index }) => {
          const model = list.rows[index]
          if (!model) return null
          return (
            <Row
              key={model.id}
              kind={kind}
              model={model}
              place={index + 2}
              hasMarks={list.hasMarks}
              mayMark={list.mayMark(model)}
              isMarked={list.selection.has(model.id)}
              isOpen={model.id === list.openId}
              onMark={list.selection.toggle}
              onOpen={list.onOpen}
            />
          )
        })}
      </tbody>
      <tbody aria-hidden="true">
        <Spacer height={after} />
      </tbody>
    </table>
  )
}

function Spacer({ height }: { height: number }) {
  return (
    <tr className={classes.spacer}>
      <td style={{ height }} />
    </tr>
  )
}

function Head({ kind, rows, selection, mayMark, hasMarks }: ListOfModels & { kind: RowKind }) {
  const markable = rows.filter(mayMark).length
  const marked = selection.models.length
  return (
    <thead>
      <tr aria-rowindex={1}>
        {hasMarks && (
          <th scope="col" className={classes.mark}>
            <input
              type="checkbox"
              className={classes.box}
              aria-label="Select all that are loaded"
              disabled={markable === 0}
              checked={marked > 0 && marked === markable}
              ref={(box) => {
                if (box) box.indeterminate = marked > 0 && marked < markable
              }}
              onChange={(event) => selection.all(event.currentTarget.checked)}
            />
          </th>
        )}
        <Sorted by="display_name">Name</Sorted>
        <th scope="col" className={classes.type}>
          Type
        </th>
        <Sorted by="file_size" className={classes.size}>
          Size
        </Sorted>
        {kind === 'trash' ? <TrashHeads /> : <LivingHeads />}
      </tr>
    </thead>
  )
}

function LivingHeads() {
  return (
    <>
      <th scope="col" className={classes.state}>
        State
      </th>
      <th scope="col" className={classes.reach}>
        Machines
      </th>
      <th scope="col" className={classes.tagged}>
        Tags
      </th>
      <th scope="col" className={classes.changed}>
        Changed
      </th>
    </>
  )
}

function TrashHeads() {
  return (
    <>
      <th scope="col" className={classes.changed}>
        Deleted
      </th>
      <th scope="col" className={classes.until}>
        Can come back until
      </th>
      <th scope="col" className={classes.act}>
        <span className={classes.calm}>Restore</span>
      </th>
    </>
  )
}

interface SortedBy {
  by: 'display_name' | 'file_size'
  className?: string | undefined
  children: string
}

function Sorted({ by, className, children }: SortedBy) {
  const { sort } = useModelSearch()
  const go = useGo()
  const isUp = sort === by
  const isDown = sort === `-${by}`
  const next = isUp ? `-${by}` : isDown ? undefined : by
  return (
    <th scope="col" className={className} aria-sort={isUp ? 'ascending' : isDown ? 'descending' : 'none'}>
      <UnstyledButton className={classes.sort} onClick={() => go({ sort: next })}>
        {children}
        {isUp && <IconArrowUp size={14} aria-hidden />}
        {isDown && <IconArrowDown size={14} aria-hidden />}
      </UnstyledButton>
    </th>
  )
}
