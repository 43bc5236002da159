import { Portal } from '@mantine/core'
import classes from '@/features/upload/upload.module.css'

/** Says that files which are dragged over the window can be dropped anywhere, without covering the page. */
export function DropHint() {
  return (
    <Portal>
      <div className={classes.hint}>
        <span>Drop the files anywhere on this page</span>
      </div>
    </Portal>
  )
}
