// A line of text in a frame, with a button that copies it.

import { CopyButton } from '@/components/CopyButton'
import classes from '@/components/CopyChip.module.css'

export function CopyLine({ text, what }: { text: string; what: string }) {
  return (
    <span className={classes.line}>
      <bdi>{text}</bdi>
      <CopyButton text={text} what={what} />
    </span>
  )
}
