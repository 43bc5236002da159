// A frame that says what can be dropped on the view; a drop anywhere on the window counts.

import { Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { DropHint } from '@/components/DropHint'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import classes from '@/features/upload/upload.module.css'
import { useDrop } from '@/features/upload/useDrop'

interface DropFrameProps {
  label: string
  title: string
  icon: ReactNode
  /** What a drop does, while files are dragged over the window. */
  hint: ReactNode
  children: ReactNode
  onFiles: (files: PickedFile[]) => void
}

export function DropFrame({ label, title, icon, hint, children, onFiles }: DropFrameProps) {
  const isOver = useDrop(onFiles)
  return (
    <section className={`${classes.zone} ${isOver ? classes.over : ''}`} aria-label={label}>
      <Stack align="center" gap="xs">
        {icon}
        <Text fw={600}>{title}</Text>
        {children}
      </Stack>
      {isOver && <DropHint>{hint}</DropHint>}
    </section>
  )
}
