// How it stands with a model, always as a sign and a word: its bytes, whether it is in use, and how many machines have it.

import {
  IconAlertTriangle,
  IconCircleCheck,
  IconClock,
  IconDeviceDesktop,
  IconDeviceDesktopCheck,
  IconPlayerPause,
  IconPlayerPlay,
  type TablerIcon,
} from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Model } from '@/api/types'
import classes from '@/views/models/models.module.css'

const VERIFICATIONS: Record<Model['verification'], { word: string; icon: TablerIcon; className: string | undefined }> =
  {
    verified: { word: 'Verified', icon: IconCircleCheck, className: classes.good },
    pending: { word: 'Being verified', icon: IconClock, className: classes.waiting },
    failed: { word: 'Damaged', icon: IconAlertTriangle, className: classes.bad },
  }
const STATUSES: Record<Model['model_status'], { word: string; icon: TablerIcon; className: string | undefined }> = {
  active: { word: 'Active', icon: IconPlayerPlay, className: classes.calm },
  disabled: { word: 'Disabled', icon: IconPlayerPause, className: classes.waiting },
}

export function Verification({ model }: { model: Model }) {
  const { word, icon, className } = VERIFICATIONS[model.verification]
  return <Sign icon={icon} word={word} className={className} />
}

export function Status({ model }: { model: Model }) {
  const { word, icon, className } = STATUSES[model.model_status]
  return <Sign icon={icon} word={word} className={className} isDimmed />
}

export function Reach({ model }: { model: Model }) {
  const { agents_ready: ready, agents_wanted: wanted } = model
  const icon = ready >= wanted && wanted > 0 ? IconDeviceDesktopCheck : IconDeviceDesktop
  if (wanted === 0) return <Sign icon={icon} word="None" className={classes.calm} isDimmed />
  return (
    <Sign icon={icon} word={`${ready} of ${wanted}`} className={ready >= wanted ? classes.good : classes.waiting} />
  )
}

interface Shown {
  icon: TablerIcon
  word: ReactNode
  className?: string | undefined
  isDimmed?: boolean
}

/** Plain elements: a list makes hundreds of these while one scrolls. */
function Sign({ icon: Icon, word, className, isDimmed = false }: Shown) {
  return (
    <div className={classes.signed} data-dimmed={isDimmed || undefined}>
      <Icon size={16} className={`${classes.sign} ${className ?? ''}`} aria-hidden />
      <span>{word}</span>
    </div>
  )
}
