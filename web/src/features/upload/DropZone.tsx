// Accepts files that are dropped anywhere on the view or selected.

import { Button, Group, Overlay, Portal, Stack, Text } from '@mantine/core'
import { IconFile, IconFolder, IconUpload } from '@tabler/icons-react'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import { notifyError } from '@/components/notify'
import { type PickedFile, readDroppedFiles, readPickedFiles } from '@/features/upload/engine/pickFiles'
import classes from '@/features/upload/upload.module.css'
import { EXTENSIONS } from '@/generated/formats'

// React's types do not know it yet.
const FOLDERS = { webkitdirectory: '' }

interface DropZoneProps {
  isSmall: boolean
  onFiles: (files: PickedFile[]) => void
}

export function DropZone({ isSmall, onFiles }: DropZoneProps) {
  const isOver = useDrop(onFiles)
  return (
    <section className={`${classes.zone} ${isOver ? classes.over : ''}`} aria-label="Add files">
      <Stack align="center" gap="xs">
        {!isSmall && <IconUpload size={40} stroke={1.25} aria-hidden />}
        <Text fw={600}>Drop model files here, or your whole ComfyUI folder</Text>
        {!isSmall && (
          <Text size="sm" c="dimmed" maw={560}>
            Each file gets its type and path from its folder or its content. You can review everything before anything
            is sent. Files that the registry already has are not sent again.
          </Text>
        )}
        <Pickers onFiles={onFiles} />
      </Stack>
      {isOver && <DropOverlay />}
    </section>
  )
}

function Pickers({ onFiles }: { onFiles: (files: PickedFile[]) => void }) {
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const onChange = ({ currentTarget: input }: React.ChangeEvent<HTMLInputElement>) => {
    if (input.files) onFiles(readPickedFiles(input.files))
    // Allow selecting the same file again.
    input.value = ''
  }
  const hidden = { type: 'file', hidden: true, multiple: true, onChange } as const
  return (
    <Group gap="xs" justify="center">
      <input ref={files} {...hidden} accept={EXTENSIONS.join(',')} data-testid="files" />
      <input ref={folder} {...hidden} {...FOLDERS} data-testid="folder" />
      <Button variant="default" leftSection={<IconFile size={16} />} onClick={() => files.current?.click()}>
        Choose files
      </Button>
      <Button variant="default" leftSection={<IconFolder size={16} />} onClick={() => folder.current?.click()}>
        Choose folder
      </Button>
    </Group>
  )
}

/**
 * Handle drops on the whole window, because the browser would otherwise open a dropped file; returns whether files
 * are dragged over it.
 */
function useDrop(onFiles: (files: PickedFile[]) => void): boolean {
  const [isOver, setOver] = useState(false)
  const onDrop = useEffectEvent((event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    if (event.dataTransfer) readDroppedFiles(event.dataTransfer).then(onFiles, notifyError)
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

function DropOverlay() {
  return (
    <Portal>
      <Overlay fixed backgroundOpacity={0.35} blur={1} zIndex={400} style={{ pointerEvents: 'none' }} />
    </Portal>
  )
}
