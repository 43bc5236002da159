// A small view of a picture file. It is drawn, because the page may load images of the registry only.

import { useEffect, useRef } from 'react'
import classes from '@/features/upload/pictures/pictures.module.css'

const WIDTH = 44
const HEIGHT = 55

export function PictureThumb({ file }: { file: File }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    let isGone = false
    createImageBitmap(file, { resizeWidth: 2 * WIDTH, resizeQuality: 'medium' }).then(
      (bitmap) => {
        if (!isGone) drawCovering(canvas.current, bitmap)
        bitmap.close()
      },
      // The registry says what is wrong with it.
      () => {},
    )
    return () => {
      isGone = true
    }
  }, [file])
  return <canvas ref={canvas} width={2 * WIDTH} height={2 * HEIGHT} className={classes.thumb} aria-hidden />
}

function drawCovering(canvas: HTMLCanvasElement | null, bitmap: ImageBitmap): void {
  const context = canvas?.getContext('2d')
  if (!canvas || !context) return
  const scale = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height)
  const [width, height] = [bitmap.width * scale, bitmap.height * scale]
  context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height)
}
