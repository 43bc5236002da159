import { Portal } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from '@/components/DropHint.module.css'

/** Says what becomes of files that are dragged over the window, without covering the page. */
export function DropHint({ children }: { children: ReactNode }) {
  return (
    <Portal>
      <div className={classes.hint} role="status">
        <span>{children}</span>
      </div>
    </Portal>
  )
}
