// One model in the table; in the trash, with a restore button.

import { Button } from '@mantine/core'
import { IconArrowBackUp } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { memo } from 'react'
import type { Model } from '@/api/types'
import { BaseModelName } from '@/components/BaseModelName'
import { formatAgo, formatDateTime } from '@/components/format'
import { ModelPicture } from '@/components/ModelPicture'
import { describeModelSize, formatModelSize } from '@/components/modelSize'
import { formatModelType } from '@/components/modelType'
import { formatTriggerWord } from '@/components/triggerWord'
import { SelectBox } from '@/features/models/list/SelectBox'
import classes from '@/features/models/list/table.module.css'
import { isRowClick } from '@/features/models/list/useVisibleRows'
import { ModelLink } from '@/features/models/ModelLink'
import { MachineCount, VersionMarks } from '@/features/models/ModelState'
import { restoreWithUndo } from '@/features/models/trash'

export type RowKind = 'living' | 'trash'

interface ModelRowProps {
  kind: RowKind
  model: Model
  index: number
  hasMarks: boolean
  mayMark: boolean
  isActive: boolean
  isMarked: boolean
  isOpen: boolean
  onMark: (model: Model, isRange: boolean) => void
  onActive: (index: number) => void
  onOpen: (model: Model) => void
}

export const ModelRow = memo(function Row({ kind, model, index, onOpen, ...props }: ModelRowProps) {
  const tabIndex = props.isActive ? 0 : -1
  return (
    // The name is a link for the keyboard; the row is a larger target for the pointer.
    <tr
      className={classes.row}
      aria-rowindex={index + 2}
      aria-selected={props.hasMarks ? props.isMarked : undefined}
      data-active={props.isActive || undefined}
      data-marked={props.isMarked || undefined}
      data-open={props.isOpen || undefined}
      onFocus={() => props.onActive(index)}
      onClick={(event) => {
        if (isRowClick(event) && kind === 'living') onOpen(model)
      }}
    >
      {props.hasMarks && (
        <td className={classes.mark}>
          <SelectBox model={model} tabIndex={tabIndex} {...props} />
        </td>
      )}
      <td className={classes.first}>
        <NameCell kind={kind} model={model} tabIndex={tabIndex} onOpen={onOpen} />
      </td>
      <td className={classes.type}>
        <bdi>{formatModelType(model.model_type)}</bdi>
      </td>
      <td className={classes.base}>
        <BaseModelName model={model} />
      </td>
      <td className={classes.size} title={model.is_folder ? describeModelSize(model) : undefined}>
        {formatModelSize(model)}
      </td>
      {kind === 'trash' ? (
        <TrashCells model={model} mayRestore={props.mayMark} tabIndex={tabIndex} />
      ) : (
        <ActiveCells model={model} />
      )}
    </tr>
  )
})

interface NameCellProps extends Pick<ModelRowProps, 'kind' | 'model' | 'onOpen'> {
  tabIndex: number
}

function NameCell({ kind, model, tabIndex, onOpen }: NameCellProps) {
  const [trigger] = model.trigger_words
  return (
    <div className={classes.model}>
      <span className={classes.thumb}>
        <ModelPicture model={model} isSmall />
      </span>
      <div className={classes.two}>
        <div className={classes.heading}>
          {kind === 'living' ? (
            <ModelLink model={model} onOpen={onOpen} tabIndex={tabIndex} className={classes.name} />
          ) : (
            <bdi className={classes.name} data-name tabIndex={tabIndex}>
              {model.display_name}
            </bdi>
          )}
          <VersionMarks model={model} />
        </div>
        <bdi className={classes.under} title={model.model_path}>
          {formatTriggerWord(trigger) || model.model_path}
        </bdi>
      </div>
    </div>
  )
}

function ActiveCells({ model }: { model: Model }) {
  return (
    <>
      <td className={classes.reach}>
        <MachineCount model={model} />
      </td>
      <td className={classes.by}>
        <bdi>{model.created_by.display_name}</bdi>
      </td>
      <td className={classes.added} title={formatDateTime(model.created_at)}>
        {formatAgo(model.created_at)}
      </td>
    </>
  )
}

function TrashCells({ model, mayRestore, tabIndex }: { model: Model; mayRestore: boolean; tabIndex: number }) {
  const navigate = useNavigate()
  const openModel = (id: string) => void navigate({ to: '/models', search: { model: id } })
  return (
    <>
      <td className={classes.added} title={model.deleted_at ? formatDateTime(model.deleted_at) : undefined}>
        {model.deleted_at && formatAgo(model.deleted_at)}
      </td>
      <td className={classes.until}>{model.restorable_until && formatDateTime(model.restorable_until)}</td>
      <td className={classes.act}>
        {mayRestore && (
          <Button
            variant="default"
            size="compact-sm"
            tabIndex={tabIndex}
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
