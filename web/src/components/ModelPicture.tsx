// The preview picture of a model, or a quiet generated cover: its type, base model and initial letters.

import {
  IconAdjustments,
  IconArrowsMaximize,
  IconBox,
  IconFileStack,
  IconPhotoScan,
  IconTextSize,
  IconVectorBezier2,
  type TablerIcon,
} from '@tabler/icons-react'
import { useState } from 'react'
import { type Based, formatBaseModel } from '@/components/baseModel'
import { initialsOf } from '@/components/initials'
import classes from '@/components/ModelPicture.module.css'
import { formatModelType } from '@/components/modelType'

interface Pictured extends Based {
  display_name: string
  model_type: string
  preview_url?: string | null
  preview_color?: string | null
}

interface ModelPictureProps {
  model: Pictured
  /** Load it at once: for what is seen first. Others are loaded when they come near the viewport. */
  isEager?: boolean
  /** Only the letters of a cover fit. */
  isSmall?: boolean
}

// What preview_url serves as size 1 fits into this box.
const WIDTH = 256
const HEIGHT = 320

/** Fills its parent, which sets the size. */
export function ModelPicture({ model, isEager = false, isSmall = false }: ModelPictureProps) {
  const url = model.preview_url
  const [failedUrl, setFailedUrl] = useState<string>()
  if (!url || url === failedUrl) return <Cover model={model} isSmall={isSmall} />
  return (
    <img
      className={classes.picture}
      src={`${url}?size=1`}
      srcSet={`${url}?size=1 1x, ${url}?size=2 2x`}
      width={WIDTH}
      height={HEIGHT}
      alt=""
      loading={isEager ? 'eager' : 'lazy'}
      decoding="async"
      draggable={false}
      // The average colour of the picture, until it is there.
      style={model.preview_color ? { backgroundColor: model.preview_color } : undefined}
      onError={() => setFailedUrl(url)}
    />
  )
}

function Cover({ model, isSmall }: { model: Pictured; isSmall: boolean }) {
  const { icon: Icon, tint } = COVERS[model.model_type] ?? OTHER
  return (
    <span className={classes.cover} data-tint={tint} data-small={isSmall || undefined} aria-hidden>
      {!isSmall && (
        <span className={classes.kind}>
          <Icon size={16} stroke={1.75} />
          <span className={classes.word}>
            {formatModelType(model.model_type)}
            {model.base_model && <bdi> · {formatBaseModel(model)}</bdi>}
          </span>
        </span>
      )}
      <span className={classes.letters}>{initialsOf(model.display_name)}</span>
    </span>
  )
}

interface CoverKind {
  icon: TablerIcon
  tint: 'violet' | 'blue' | 'teal' | 'amber' | 'gray'
}

const OTHER: CoverKind = { icon: IconBox, tint: 'gray' }
const COVERS: Record<string, CoverKind> = {
  loras: { icon: IconAdjustments, tint: 'violet' },
  embeddings: { icon: IconTextSize, tint: 'violet' },
  hypernetworks: { icon: IconAdjustments, tint: 'violet' },
  checkpoints: { icon: IconFileStack, tint: 'blue' },
  diffusion_models: { icon: IconFileStack, tint: 'blue' },
  unet: { icon: IconFileStack, tint: 'blue' },
  text_encoders: { icon: IconTextSize, tint: 'teal' },
  clip: { icon: IconTextSize, tint: 'teal' },
  clip_vision: { icon: IconPhotoScan, tint: 'teal' },
  controlnet: { icon: IconVectorBezier2, tint: 'amber' },
  t2i_adapter: { icon: IconVectorBezier2, tint: 'amber' },
  upscale_models: { icon: IconArrowsMaximize, tint: 'gray' },
}
