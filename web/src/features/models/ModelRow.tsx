// One model in the table; in the trash, with a restore button.

import { Button } from '@mantine/core'
import { IconArrowBackUp } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { memo } from 'react'
import type { Model } from '@/api/types'
import { formatAgo, formatBytes, formatDateTime } from '@/components/format'
import { ModelLink } from '@/features/models/ModelLink'
import { MachineCount, Status, Verification, VersionMarks } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import { Tags } from '@/features/models/Tags'
import { restoreWithUndo } from '@/features/models/trash'
import { isRowClick } from '@/features/models/useVisibleRows'

export type RowKind = 'living' | 'trash'

interface ModelRowProps {
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

export const ModelRow = memo(function Row({ kind, model, place, onOpen, isMarked, isOpen, ...marking }: ModelRowProps) {
  return (
    // The name is a link for the keyboard; the row is a larger target for the pointer.
    <tr
      className={classes.row}
      aria-rowindex={place}
      data-marked={isMarked || undefined}
      data-open={isOpen || undefined}
      onClick={(event) => {
        if (isRowClick(event) && kind === 'living') onOpen(model)
      }}
    >
      {marking.hasMarks && (
        <td className={classes.mark}>
          <SelectBox model={model} isMarked={isMarked} {...marking} />
        </td>
      )}
      <td>
        <div className={classes.heading}>
          {kind === 'living' ? (
            <ModelLink model={model} onOpen={onOpen} />
          ) : (
            <bdi className={classes.name}>{model.display_name}</bdi>
          )}
          <VersionMarks model={model} />
        </div>
        <bdi className={classes.path} title={model.model_path}>
          {model.model_path}
        </bdi>
        <div className={classes.brief}>
          <CompactDetails model={model} />
        </div>
      </td>
      <td className={classes.type}>
        <bdi className={classes.word}>{model.model_type}</bdi>
      </td>
      <td className={classes.size}>
        <span className={classes.word}>{formatBytes(model.file_size)}</span>
      </td>
      {kind === 'trash' ? <TrashCells model={model} mayRestore={marking.mayMark} /> : <ActiveCells model={model} />}
    </tr>
  )
})

export function SelectBox({
  model,
  isMarked,
  mayMark,
  onMark,
}: Pick<ModelRowProps, 'model' | 'isMarked' | 'mayMark' | 'onMark'>) {
  return (
    <input
      type="checkbox"
      className={classes.box}
      aria-label={`Select ${model.display_name}`}
      checked={isMarked}
      disabled={!mayMark}
      title={mayMark ? undefined : 'Members can change only the models that they registered. Ask an admin.'}
      onChange={(event) => onMark(model, event.nativeEvent instanceof MouseEvent && event.nativeEvent.shiftKey)}
    />
  )
}

/** On narrow screens: the contents of the hidden columns. */
function CompactDetails({ model }: { model: Model }) {
  return (
    <>
      <span data-dimmed>{formatBytes(model.file_size)}</span>
      {!model.deleted_at && <Verification model={model} />}
      {!model.deleted_at && model.model_status === 'disabled' && <Status model={model} />}
    </>
  )
}

function ActiveCells({ model }: { model: Model }) {
  return (
    <>
      <td className={classes.state}>
        <Verification model={model} />
        <Status model={model} />
      </td>
      <td className={classes.reach}>
        <MachineCount model={model} />
      </td>
      <td className={classes.tagged}>
        <Tags tags={model.tags} />
      </td>
      <td className={classes.changed}>
        <TimeAgo time={model.updated_at} />
      </td>
    </>
  )
}

function TrashCells({ model, mayRestore }: { model: Model; mayRestore: boolean }) {
  const navigate = useNavigate()
  const openModel = (id: string) => void navigate({ to: '/models', search: { model: id } })
  return (
    <>
      <td className={classes.changed}>{model.deleted_at && <TimeAgo time={model.deleted_at} />}</td>
      <td className={classes.until}>{model.restorable_until && formatDateTime(model.restorable_until)}</td>
      <td className={classes.act}>
        {mayRestore && (
          <Button
            variant="default"
            size="compact-sm"
            leftSection={<IconArrowBackUp size={16} aria-hidden />}
            aria-label={`Restore ${model.display_name}`}
            onClick={() => void restoreWithUndo(model, openModel)}
          >
            Restore
          </Button>
        )}
      </td>
    </>
  )
}

function TimeAgo({ time }: { time: string }) {
  return (
    <span className={classes.word} data-dimmed title={formatDateTime(time)}>
      {formatAgo(time)}
    </span>
  )
}
