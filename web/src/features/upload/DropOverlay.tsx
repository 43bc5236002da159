import { Overlay, Portal } from '@mantine/core'

/** Marks the whole window while files are dragged over it. */
export function DropOverlay() {
  return (
    <Portal>
      <Overlay fixed backgroundOpacity={0.35} blur={1} zIndex={400} style={{ pointerEvents: 'none' }} />
    </Portal>
  )
}
