// Pictures that are dropped on the page or pasted into it.

import { useEffect, useEffectEvent, useState } from 'react'
import { isTyping } from '@/components/characterKeys'

/** Call `onPicture` for a dropped or pasted picture, `onOther` for another dropped file; returns whether one is over. */
export function usePictureInput(onPicture: (picture: File) => void, onOther: () => void, isEnabled: boolean): boolean {
  const [isOver, setOver] = useState(false)
  const onPaste = useEffectEvent((event: ClipboardEvent) => {
    const picture = isEnabled && !isTyping(event.target) && findPicture(event.clipboardData)
    if (!picture) return
    event.preventDefault()
    onPicture(picture)
  })
  const onDrag = useEffectEvent((event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    // The browser would otherwise open the file in place of the page.
    event.preventDefault()
    event.dataTransfer.dropEffect = isEnabled ? 'copy' : 'none'
    setOver(isEnabled)
  })
  const onDrop = useEffectEvent((event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    setOver(false)
    const picture = findPicture(event.dataTransfer)
    if (!isEnabled) return
    if (picture) onPicture(picture)
    else onOther()
  })
  useEffect(() => {
    const paste = (event: ClipboardEvent) => onPaste(event)
    const drag = (event: DragEvent) => onDrag(event)
    const drop = (event: DragEvent) => onDrop(event)
    const leave = (event: DragEvent) => event.relatedTarget === null && setOver(false)
    addEventListener('paste', paste)
    // If the element below the pointer changes just before the drop, only `dragenter` accepts it.
    addEventListener('dragenter', drag)
    addEventListener('dragover', drag)
    addEventListener('drop', drop)
    addEventListener('dragleave', leave)
    return () => {
      removeEventListener('paste', paste)
      removeEventListener('dragenter', drag)
      removeEventListener('dragover', drag)
      removeEventListener('drop', drop)
      removeEventListener('dragleave', leave)
    }
  }, [])
  return isOver
}

function findPicture(data: DataTransfer | null): File | undefined {
  return Array.from(data?.files ?? []).find(({ type }) => type.startsWith('image/'))
}
