// Where files come in: dropped anywhere on the view, or picked.

import { Button, Group, Overlay, Portal, Stack, Text } from '@mantine/core'
import { IconFile, IconFolder, IconUpload } from '@tabler/icons-react'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import { failed } from '@/parts/notify'
import { dropped, type Picked, picked } from '@/uploading/picking'
import { SUFFIXES } from '@/uploading/placing'
import classes from '@/views/upload/upload.module.css'

// React's types do not know it yet.
const FOLDERS = { webkitdirectory: '' }

interface Asked {
  isSmall: boolean
  onFiles: (files: Picked[]) => void
}

export function DropZone({ isSmall, onFiles }: Asked) {
  const isOver = useDrop(onFiles)
  return (
    <section className={`${classes.zone} ${isOver ? classes.over : ''}`} aria-label="Add files">
      <Stack align="center" gap="xs">
        {!isSmall && <IconUpload size={40} stroke={1.25} aria-hidden />}
        <Text fw={600}>Drop model files here, or your whole ComfyUI folder</Text>
        {!isSmall && (
          <Text size="sm" c="dimmed" maw={560}>
            Each file gets its type and path from its folder or its content. You see all of it before anything is sent,
            and what the registry has already is not sent again.
          </Text>
        )}
        <Pickers onFiles={onFiles} />
      </Stack>
      {isOver && <Dropping />}
    </section>
  )
}

function Pickers({ onFiles }: { onFiles: (files: Picked[]) => void }) {
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const onChange = ({ currentTarget: input }: React.ChangeEvent<HTMLInputElement>) => {
    if (input.files) onFiles(picked(input.files))
    // The same file may be picked again.
    input.value = ''
  }
  const hidden = { type: 'file', hidden: true, multiple: true, onChange } as const
  return (
    <Group gap="xs" justify="center">
      <input ref={files} {...hidden} accept={SUFFIXES.join(',')} data-testid="files" />
      <input ref={folder} {...hidden} {...FOLDERS} data-testid="folder" />
      <Button variant="default" leftSection={<IconFile size={16} />} onClick={() => files.current?.click()}>
        Choose files
      </Button>
      <Button variant="default" leftSection={<IconFolder size={16} />} onClick={() => folder.current?.click()}>
        Choose a folder
      </Button>
    </Group>
  )
}

/** Whether files hang over the window. A drop beside the zone would otherwise open the file in place of the page. */
function useDrop(onFiles: (files: Picked[]) => void): boolean {
  const [isOver, setOver] = useState(false)
  const onDrop = useEffectEvent((event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    if (event.dataTransfer) dropped(event.dataTransfer).then(onFiles, failed)
  })
  const onDrag = useEffectEvent((event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'copy'
    setOver(true)
  })
  useEffect(() => {
    const drag = (event: DragEvent) => onDrag(event)
    const drop = (event: DragEvent) => onDrop(event)
    const leave = (event: DragEvent) => event.relatedTarget === null && setOver(false)
    addEventListener('dragover', drag)
    addEventListener('drop', drop)
    addEventListener('dragleave', leave)
    return () => {
      removeEventListener('dragover', drag)
      removeEventListener('drop', drop)
      removeEventListener('dragleave', leave)
    }
  }, [])
  return isOver
}

function Dropping() {
  return (
    <Portal>
      <Overlay fixed backgroundOpacity={0.35} blur={1} zIndex={400} style={{ pointerEvents: 'none' }} />
    </Portal>
  )
}
