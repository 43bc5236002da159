// Files that are dropped anywhere on a view.

import { useEffectEvent, useLayoutEffect, useRef, useState } from 'react'

// A browser repeats `dragover` several times a second, and does not report each drag that ends outside the page.
const DRAG_END_MILLISECONDS = 2_000

/**
 * Handle drops on the whole window, because the browser would otherwise open a dropped file; returns whether files
 * that can be dropped are dragged over it. Unless it is enabled, dropped files are ignored, as while a dialog is
 * open: another view would lose what was typed there.
 */
export function useFileDrop(onFiles: (data: DataTransfer) => void, isEnabled = true): boolean {
  const [isOver, setOver] = useDragState()
  const onDrop = useEffectEvent((event: DragEvent) => {
    if (!event.dataTransfer || !hasFiles(event)) return
    event.preventDefault()
    setOver(false)
    if (isEnabled && !isDialogOpen()) onFiles(event.dataTransfer)
  })
  const onDrag = useEffectEvent((event: DragEvent) => {
    if (!event.dataTransfer || !hasFiles(event)) return
    event.preventDefault()
    const isTaken = isEnabled && !isDialogOpen()
    event.dataTransfer.dropEffect = isTaken ? 'copy' : 'none'
    setOver(isTaken)
  })
  const onLeave = useEffectEvent((event: DragEvent) => event.relatedTarget === null && setOver(false))
  // Before the view is painted, so that no drop on it is lost.
  useLayoutEffect(() => {
    const drag = (event: DragEvent) => onDrag(event)
    const drop = (event: DragEvent) => onDrop(event)
    const leave = (event: DragEvent) => onLeave(event)
    // If the element below the pointer changes just before the drop, only `dragenter` accepts it.
    addEventListener('dragenter', drag)
    addEventListener('dragover', drag)
    addEventListener('drop', drop)
    addEventListener('dragleave', leave)
    return () => {
      removeEventListener('dragenter', drag)
      removeEventListener('dragover', drag)
      removeEventListener('drop', drop)
      removeEventListener('dragleave', leave)
    }
  }, [])
  return isOver
}

/** Whether files are over the page; false again if no event says so for some time. */
function useDragState(): [boolean, (isOver: boolean) => void] {
  const [isOver, setOver] = useState(false)
  const ending = useRef<ReturnType<typeof setTimeout>>(undefined)
  const change = (next: boolean) => {
    clearTimeout(ending.current)
    if (next) ending.current = setTimeout(() => setOver(false), DRAG_END_MILLISECONDS)
    setOver(next)
  }
  return [isOver, change]
}

/** Whether a modal dialog is open; details beside a list are none. */
function isDialogOpen(): boolean {
  return document.querySelector('.mantine-Modal-content') !== null
}

/** Text that is dropped on a field is left to the browser. */
function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes('Files') ?? false
}
