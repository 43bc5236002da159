// Pictures that are dropped on the page or pasted into it.

import { useEffect, useEffectEvent } from 'react'
import { isTyping } from '@/components/characterKeys'
import { useFileDrop } from '@/components/useFileDrop'

/** Call `onPicture` for a dropped or pasted picture, `onOther` for another dropped file; returns whether one is over. */
export function usePictureInput(onPicture: (picture: File) => void, onOther: () => void, isEnabled: boolean): boolean {
  const onPaste = useEffectEvent((event: ClipboardEvent) => {
    const picture = isEnabled && !isTyping(event.target) && findPicture(event.clipboardData)
    if (!picture) return
    event.preventDefault()
    onPicture(picture)
  })
  useEffect(() => {
    const paste = (event: ClipboardEvent) => onPaste(event)
    addEventListener('paste', paste)
    return () => removeEventListener('paste', paste)
  }, [])
  return useFileDrop((data) => {
    const picture = findPicture(data)
    if (picture) onPicture(picture)
    else onOther()
  }, isEnabled)
}

function findPicture(data: DataTransfer | null): File | undefined {
  return Array.from(data?.files ?? []).find(({ type }) => type.startsWith('image/'))
}
