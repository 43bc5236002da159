// One model in the gallery: picture, name, first trigger word, base model and what is exceptional.

import { memo } from 'react'
import type { Model } from '@/api/types'
import { BaseModelName } from '@/components/BaseModelName'
import { ModelPicture } from '@/components/ModelPicture'
import { formatModelSize } from '@/components/modelSize'
import { formatModelType } from '@/components/modelType'
import { CardActions } from '@/features/models/list/CardActions'
import classes from '@/features/models/list/gallery.module.css'
import { SelectBox } from '@/features/models/list/SelectBox'
import { TriggerWord } from '@/features/models/list/TriggerWord'
import { ModelLink } from '@/features/models/ModelLink'
import { ExceptionBadge, MachineReach, VersionMarks } from '@/features/models/ModelState'

interface ModelCardProps {
  model: Model
  index: number
  column: number
  isEager: boolean
  pictureHeight: number
  isActive: boolean
  isMarked: boolean
  isOpen: boolean
  hasMark: boolean
  mayMark: boolean
  mayChange: boolean
  onMark: (model: Model, isRange: boolean) => void
  onActive: (index: number) => void
  onOpen: (model: Model) => void
  onSend: ((models: Model[]) => void) | undefined
}

export const ModelCard = memo(function ModelCard(props: ModelCardProps) {
  const { model, index, isActive, isMarked, onOpen } = props
  const tabIndex = isActive ? 0 : -1
  const [trigger] = model.trigger_words
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the link in it has the focus.
    // biome-ignore lint/a11y/useSemanticElements: a table has no cards.
    <div
      role="gridcell"
      aria-colindex={props.column}
      aria-selected={props.hasMark ? isMarked : undefined}
      className={classes.card}
      data-active={isActive || undefined}
      data-marked={isMarked || undefined}
      data-open={props.isOpen || undefined}
      onFocus={() => props.onActive(index)}
    >
      <div className={classes.shot} style={{ height: props.pictureHeight }}>
        <ModelPicture model={model} isEager={props.isEager} />
        <ExceptionBadge model={model} />
      </div>
      {props.hasMark && (
        <SelectBox
          model={model}
          className={classes.pick}
          isMarked={isMarked}
          mayMark={props.mayMark}
          tabIndex={tabIndex}
          onMark={props.onMark}
        />
      )}
      <div className={classes.line}>
        <ModelLink model={model} onOpen={onOpen} tabIndex={tabIndex} className={classes.name} />
        <VersionMarks model={model} />
        <span className={classes.reach}>
          <MachineReach model={model} />
        </span>
      </div>
      <div className={classes.line}>
        {trigger ? (
          <TriggerWord word={trigger} tabIndex={tabIndex} />
        ) : (
          <span className={classes.type}>{formatModelType(model.model_type)}</span>
        )}
        <span className={classes.base}>
          <BaseModelName model={model} />
        </span>
        {model.is_folder && <span className={classes.folder}>Folder, {formatModelSize(model)}</span>}
      </div>
      <CardActions model={model} mayChange={props.mayChange} tabIndex={tabIndex} onSend={props.onSend} />
    </div>
  )
})
