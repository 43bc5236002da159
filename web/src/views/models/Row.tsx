// One model in the table: what it is, how it stands, and in the trash how it comes back.

import { Button } from '@mantine/core'
import { IconArrowBackUp } from '@tabler/icons-react'
import { memo } from 'react'
import type { Model } from '@/api/types'
import { ago, bytes, dateAndTime } from '@/parts/words'
import { isForRow } from '@/views/models/list'
import { ModelLink } from '@/views/models/ModelLink'
import classes from '@/views/models/models.module.css'
import { Reach, Status, Verification } from '@/views/models/State'
import { restoreOne } from '@/views/models/trash'

export type RowKind = 'living' | 'trash'

interface OneRow {
  kind: RowKind
  model: Model
  place: number
  hasMarks: boolean
  mayMark: boolean
  isMarked: boolean
  isOpen: boolean
  onMark: (model: Model, isRange: boolean) => void
  onOpen: (model: Model) => void
}

export const Row = memo(function Row({ kind, model, place, onOpen, isMarked, isOpen, ...marking }: OneRow) {
  return (
    // The name in the row is a link, for the keyboard; this is a wider target for the pointer.
    <tr
      className={classes.row}
      aria-rowindex={place}
      data-marked={isMarked || undefined}
      data-open={isOpen || undefined}
      onClick={(event) => {
        if (isForRow(event) && kind === 'living') onOpen(model)
      }}
    >
      {marking.hasMarks && (
        <td className={classes.mark}>
          <Mark model={model} isMarked={isMarked} {...marking} />
        </td>
      )}
      <td>
        {kind === 'living' ? (
          <ModelLink model={model} onOpen={onOpen} />
        ) : (
          <bdi className={classes.name}>{model.display_name}</bdi>
        )}
        <bdi className={classes.path} title={model.model_path}>
          {model.model_path}
        </bdi>
        <div className={classes.brief}>
          <Brief model={model} />
        </div>
      </td>
      <td className={classes.type}>
        <bdi className={classes.word}>{model.model_type}</bdi>
      </td>
      <td className={classes.size}>
        <span className={classes.word}>{bytes(model.file_size)}</span>
      </td>
      {kind === 'trash' ? <TrashCells model={model} mayRestore={marking.mayMark} /> : <LivingCells model={model} />}
    </tr>
  )
})

export function Mark({ model, isMarked, mayMark, onMark }: Pick<OneRow, 'model' | 'isMarked' | 'mayMark' | 'onMark'>) {
  return (
    <input
      type="checkbox"
      className={classes.box}
      aria-label={`Select ${model.display_name}`}
      checked={isMarked}
      disabled={!mayMark}
      title={mayMark ? undefined : 'Members change what they registered; ask an admin.'}
      onChange={(event) => onMark(model, event.nativeEvent instanceof MouseEvent && event.nativeEvent.shiftKey)}
    />
  )
}

/** On a narrow screen: what the columns would say that have no room there. */
function Brief({ model }: { model: Model }) {
  return (
    <>
      <span data-dimmed>{bytes(model.file_size)}</span>
      {!model.deleted_at && <Verification model={model} />}
      {!model.deleted_at && model.model_status === 'disabled' && <Status model={model} />}
    </>
  )
}

function LivingCells({ model }: { model: Model }) {
  return (
    <>
      <td className={classes.state}>
        <Verification model={model} />
        <Status model={model} />
      </td>
      <td className={classes.reach}>
        <Reach model={model} />
      </td>
      <td className={classes.tagged}>
        <Tags tags={model.tags} />
      </td>
      <td className={classes.changed}>
        <Moment time={model.updated_at} />
      </td>
    </>
  )
}

function TrashCells({ model, mayRestore }: { model: Model; mayRestore: boolean }) {
  return (
    <>
      <td className={classes.changed}>{model.deleted_at && <Moment time={model.deleted_at} />}</td>
      <td className={classes.until}>{model.restorable_until && dateAndTime(model.restorable_until)}</td>
      <td className={classes.act}>
        {mayRestore && (
          <Button
            variant="default"
            size="compact-sm"
            leftSection={<IconArrowBackUp size={16} aria-hidden />}
            aria-label={`Restore ${model.display_name}`}
            onClick={() => void restoreOne(model)}
          >
            Restore
          </Button>
        )}
      </td>
    </>
  )
}

function Moment({ time }: { time: string }) {
  return (
    <span className={classes.word} data-dimmed title={dateAndTime(time)}>
      {ago(time)}
    </span>
  )
}

export function Tags({ tags }: { tags: string[] }) {
  return (
    <div className={classes.tags}>
      {tags.map((tag) => (
        <bdi key={tag} className={classes.tag} title={tag}>
          {tag}
        </bdi>
      ))}
    </div>
  )
}
