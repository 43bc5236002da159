// The state of a version as icon and text.

import {
  IconAlertTriangle,
  IconCircleCheck,
  IconClock,
  IconHistory,
  IconPlayerSkipForward,
  type TablerIcon,
} from '@tabler/icons-react'
import type { ModelVersion } from '@/api/types'
import { IconLabel, KEPT_MARKS } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import { isVersionDamaged } from '@/features/models/refusals'
import { useKeptFile } from '@/features/models/useKeptFile'

interface State {
  word: string
  icon: TablerIcon
  className: string | undefined
  meaning: string
}

const STATES: Record<ModelVersion['version_status'], State> = {
  current: { word: 'Current', icon: IconCircleCheck, className: classes.good, meaning: 'Machines get this version.' },
  pending: {
    word: 'Being verified',
    icon: IconClock,
    className: classes.waiting,
    meaning: 'It becomes the current version once it is verified.',
  },
  replaced: { word: 'Replaced', icon: IconHistory, className: classes.calm, meaning: 'It was the current version.' },
  superseded: {
    word: 'Superseded',
    icon: IconPlayerSkipForward,
    className: classes.calm,
    meaning: 'Another version became current before it was verified.',
  },
  failed: {
    word: 'Verification failed',
    icon: IconAlertTriangle,
    className: classes.bad,
    meaning: 'It never became the current version.',
  },
}

export function VersionState({ version }: { version: ModelVersion }) {
  const { icon, className, meaning, ...state } = STATES[version.version_status]
  const kept = useKeptFile(version)
  if (kept) return <IconLabel {...KEPT_MARKS[kept]} />
  const isWaiting = version.version_status === 'pending' && version.verification_error
  const word = isWaiting ? 'Not verified yet' : state.word
  return (
    <div title={meaning}>
      {isVersionDamaged(version) ? (
        <IconLabel icon={IconAlertTriangle} word={`${word}, damaged`} className={classes.bad} />
      ) : (
        <IconLabel icon={icon} word={word} className={className} />
      )}
    </div>
  )
}
