// A frame that says what can be dropped on the view; a drop anywhere on the window counts.

import { Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { DropHint } from '@/features/upload/DropHint'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import classes from '@/features/upload/upload.module.css'
import { useDrop } from '@/features/upload/useDrop'

interface DropFrameProps {
  label: string
  title: string
  icon: ReactNode
  children: ReactNode
  onFiles: (files: PickedFile[]) => void
}

export function DropFrame({ label, title, icon, children, onFiles }: DropFrameProps) {
  const isOver = useDrop(onFiles)
  return (
    <section className={`${classes.zone} ${isOver ? classes.over : ''}`} aria-label={label}>
      <Stack align="center" gap="xs">
        {icon}
        <Text fw={600}>{title}</Text>
        {children}
      </Stack>
      {isOver && <DropHint />}
    </section>
  )
}
