// Verification, status and machine count of a model, always as icon and text.

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
import classes from '@/features/models/models.module.css'

interface Mark {
  word: string
  icon: TablerIcon
  className: string | undefined
}

export const VERIFICATION_MARKS: Record<Model['verification'], Mark> = {
  verified: { word: 'Verified', icon: IconCircleCheck, className: classes.good },
  pending: { word: 'Being verified', icon: IconClock, className: classes.waiting },
  failed: { word: 'Damaged', icon: IconAlertTriangle, className: classes.bad },
}
export const MODEL_STATUS_MARKS: Record<Model['model_status'], Mark> = {
  active: { word: 'Active', icon: IconPlayerPlay, className: classes.calm },
  disabled: { word: 'Disabled', icon: IconPlayerPause, className: classes.waiting },
}

export function Verification({ model }: { model: Model }) {
  const { word, icon, className } = VERIFICATION_MARKS[model.verification]
  return <IconLabel icon={icon} word={word} className={className} />
}

export function Status({ model }: { model: Model }) {
  const { word, icon, className } = MODEL_STATUS_MARKS[model.model_status]
  return <IconLabel icon={icon} word={word} className={className} isDimmed />
}

/** The version number of a model that has had several, and whether a newer one is being verified or failed. */
export function VersionMarks({ model }: { model: Model }) {
  const { version, pending_version: pending } = model
  return (
    <>
      {version > 1 && (
        <span className={classes.version} title={`Version ${version}`}>
          v{version}
        </span>
      )}
      {pending && pending.version !== version && !model.deleted_at && <PendingMark pending={pending} />}
    </>
  )
}

function PendingMark({ pending }: { pending: NonNullable<Model['pending_version']> }) {
  const isFailed = pending.verification === 'failed'
  const Icon = isFailed ? IconAlertTriangle : IconClock
  const title = `Version ${pending.version} ${isFailed ? 'failed verification' : 'is being verified'}`
  return (
    <span className={classes.newer} role="img" aria-label={title} title={title}>
      <Icon size={16} className={isFailed ? classes.bad : classes.waiting} aria-hidden />
    </span>
  )
}

export function MachineCount({ model }: { model: Model }) {
  const { agents_ready: ready, agents_desired: wanted } = model
  const icon = ready >= wanted && wanted > 0 ? IconDeviceDesktopCheck : IconDeviceDesktop
  if (wanted === 0) return <IconLabel icon={icon} word="None" className={classes.calm} isDimmed />
  return (
    <IconLabel
      icon={icon}
      word={`${ready} of ${wanted}`}
      className={ready >= wanted ? classes.good : classes.waiting}
    />
  )
}

interface IconLabelProps {
  icon: TablerIcon
  word: ReactNode
  className?: string | undefined
  isDimmed?: boolean
}

/** Plain elements, because scrolling renders hundreds of them. */
export function IconLabel({ icon: Icon, word, className, isDimmed = false }: IconLabelProps) {
  return (
    <div className={classes.signed} data-dimmed={isDimmed || undefined}>
      <Icon size={16} className={`${classes.sign} ${className ?? ''}`} aria-hidden />
      <span>{word}</span>
    </div>
  )
}
