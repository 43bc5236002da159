// The checkbox that selects a model for actions on many.

import type { Model } from '@/api/types'
import classes from '@/features/models/models.module.css'

interface SelectBoxProps {
  model: Model
  className?: string | undefined
  isMarked: boolean
  mayMark: boolean
  tabIndex?: number
  onMark: (model: Model, isRange: boolean) => void
}

export function SelectBox({ model, className, isMarked, mayMark, tabIndex, onMark }: SelectBoxProps) {
  return (
    <input
      type="checkbox"
      className={`${classes.box} ${className ?? ''}`}
      aria-label={`Select ${model.display_name}`}
      checked={isMarked}
      disabled={!mayMark}
      tabIndex={tabIndex}
      title={mayMark ? undefined : 'Members can change only the models that they registered. Ask an admin.'}
      onChange={(event) => onMark(model, event.nativeEvent instanceof MouseEvent && event.nativeEvent.shiftKey)}
    />
  )
}
