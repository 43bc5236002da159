// Whether a step is done.

import { VisuallyHidden } from '@mantine/core'
import { IconCircleCheckFilled, IconCircleDashed } from '@tabler/icons-react'
import classes from '@/features/models/firstSteps/firstSteps.module.css'

export function StepMark({ isDone }: { isDone: boolean }) {
  const Icon = isDone ? IconCircleCheckFilled : IconCircleDashed
  return (
    <span className={classes.mark} data-done={isDone || undefined}>
      <Icon size={18} aria-hidden />
      <VisuallyHidden>{isDone ? 'Done: ' : 'To do: '}</VisuallyHidden>
    </span>
  )
}
