// The place of the steps above the list before they are known, so that the list does not move.

import classes from '@/features/models/firstSteps/firstSteps.module.css'

export function StepsPlace() {
  return <div className={classes.bar} aria-hidden />
}
