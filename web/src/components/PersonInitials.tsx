// The initials of a person, in a circle.

import { initialsOf } from '@/components/initials'
import classes from '@/components/PersonInitials.module.css'

export function PersonInitials({ name }: { name: string }) {
  return <span className={classes.circle}>{initialsOf(name)}</span>
}
