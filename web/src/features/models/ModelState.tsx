// Verification, status and machine count of a model, always as icon and text.

import {
  IconAlertTriangle,
  IconAlertTriangleFilled,
  IconCircleCheck,
  IconClock,
  IconPlayerPause,
  IconPlayerPlay,
  IconTransform,
  type TablerIcon,
} from '@tabler/icons-react'
import type { ReactNode } from 'react'
import type { Model } from '@/api/types'
import { formatCount } from '@/components/format'
import classes from '@/features/models/models.module.css'
import { isDamaged } from '@/features/models/refusals'
import { type KeptFile, useKeptFile } from '@/features/models/useKeptFile'

interface Mark {
  word: string
  icon: TablerIcon
  className: string | undefined
}

const VERIFICATION_MARKS: Record<Model['verification'], Mark> = {
  verified: { word: 'Verified', icon: IconCircleCheck, className: classes.good },
  pending: { word: 'Being verified', icon: IconClock, className: classes.waiting },
  failed: { word: 'Verification failed', icon: IconAlertTriangle, className: classes.bad },
}
const DAMAGED_MARK: Mark = { word: 'Damaged', icon: IconAlertTriangle, className: classes.bad }
const NOT_VERIFIED_MARK: Mark = { word: 'Not verified yet', icon: IconClock, className: classes.waiting }
const NOT_ACCEPTED_MARK: Mark = { word: 'Not accepted', icon: IconTransform, className: classes.waiting }
export const KEPT_MARKS: Record<KeptFile, Mark> = {
  converts: { word: 'Kept to be converted', icon: IconTransform, className: classes.waiting },
  accepts: NOT_ACCEPTED_MARK,
  refuses: NOT_ACCEPTED_MARK,
}
export const MODEL_STATUS_MARKS: Record<Model['model_status'], Mark> = {
  active: { word: 'Active', icon: IconPlayerPlay, className: classes.calm },
  disabled: { word: 'Disabled', icon: IconPlayerPause, className: classes.waiting },
}

export function Verification({ model }: { model: Model }) {
  const { word, icon, className } = useVerificationMark(model)
  return <IconLabel icon={icon} word={word} className={className} />
}

function useVerificationMark(model: Model): Mark {
  const kept = useKeptFile(model)
  if (kept) return KEPT_MARKS[kept]
  if (isDamaged(model)) return DAMAGED_MARK
  const isWaiting = model.verification === 'pending' && model.verification_error
  return isWaiting ? NOT_VERIFIED_MARK : VERIFICATION_MARKS[model.verification]
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
  const waits = pending.verification_error ? 'is not verified yet' : 'is being verified'
  const title = `Version ${pending.version} ${isFailed ? 'failed verification' : waits}`
  return (
    <span className={classes.newer} role="img" aria-label={title} title={title}>
      <Icon size={16} className={isFailed ? classes.bad : classes.waiting} aria-hidden />
    </span>
  )
}

/** Where a model is: a dot if all its machines load it, else on how many it is. Nothing if no machine should have it. */
export function MachineReach({ model, isSentence = false }: { model: Model; isSentence?: boolean }) {
  const { agents_ready: ready, agents_unloaded: unloaded, agents_desired: desired } = model
  if (desired === 0) return null
  if (ready >= desired && unloaded === 0) {
    return (
      <span role="img" className={classes.dot} aria-label="On all its machines" title={`On ${ready} of ${desired}`} />
    )
  }
  const sentence = `On ${ready} of ${formatCount(desired, 'machine')}${unloaded > 0 ? `, ${unloaded} not loaded` : ''}`
  return (
    <span className={classes.reach} title={sentence}>
      <IconAlertTriangleFilled size={14} aria-hidden />
      {isSentence ? sentence : describeReach(ready, desired, unloaded)}
    </span>
  )
}

/** `2 of 3`, or where the file is everywhere, `1 not loaded`: the shortest text that says what is wrong. */
function describeReach(ready: number, desired: number, unloaded: number): string {
  return ready < desired ? `${ready} of ${desired}` : `${unloaded} not loaded`
}

/** The same with its number, for the table. */
export function MachineCount({ model }: { model: Model }) {
  const { agents_ready: ready, agents_unloaded: unloaded, agents_desired: desired } = model
  if (model.verification === 'failed') return <Verification model={model} />
  if (model.model_status === 'disabled') return <Status model={model} />
  if (model.verification === 'pending') return <Verification model={model} />
  if (desired === 0) return <span className={classes.calm}>None</span>
  if (ready < desired || unloaded > 0) return <MachineReach model={model} />
  return (
    <span className={classes.signed} data-dimmed>
      <MachineReach model={model} />
      <span>
        {ready} of {desired}
      </span>
    </span>
  )
}

/** On a card: what keeps the model from being used. */
export function ExceptionBadge({ model }: { model: Model }) {
  const verificationMark = useVerificationMark(model)
  const mark =
    model.verification !== 'verified'
      ? verificationMark
      : model.model_status === 'disabled'
        ? MODEL_STATUS_MARKS.disabled
        : undefined
  if (!mark) return null
  const { icon: Icon, word } = mark
  return (
    <span className={classes.badge} data-bad={model.verification === 'failed' || undefined}>
      <Icon size={16} stroke={1.75} aria-hidden />
      {word}
    </span>
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
