// Marks for what a machine reports beside its state, and for replica states: each has its own icon shape and always a label.

import { Group, Text, Tooltip } from '@mantine/core'
import {
  IconAlertTriangle,
  IconArchive,
  IconBan,
  IconBrush,
  IconCheck,
  IconCircleX,
  IconClock,
  IconDownload,
  IconFiles,
  IconPlayerPause,
  IconShieldSearch,
  type TablerIcon,
} from '@tabler/icons-react'
import type { AgentModel } from '@/api/types'
import { isLoaded } from '@/components/isLoaded'

export interface Mark {
  icon: TablerIcon
  label: string
  colour: string
  meaning: string
}

/** What a machine reports beside its `machine_state`. */
const MACHINE_MARKS: Record<'busy' | 'paused', Mark> = {
  busy: { icon: IconBrush, label: 'Busy', colour: 'violet', meaning: 'ComfyUI is rendering.' },
  paused: {
    icon: IconPlayerPause,
    label: 'Paused',
    colour: 'orange',
    meaning: 'Downloads and removals are paused.',
  },
}

export const STATE_MARKS: Record<AgentModel['state'], Mark> = {
  ready: {
    icon: IconCheck,
    label: 'Ready',
    colour: 'green',
    meaning: 'The model is on the machine, and ComfyUI loads it.',
  },
  queued: { icon: IconClock, label: 'Queued', colour: 'gray', meaning: 'Waiting to be downloaded.' },
  downloading: { icon: IconDownload, label: 'Downloading', colour: 'yard', meaning: 'The model is being downloaded.' },
  verifying: {
    icon: IconShieldSearch,
    label: 'Verifying',
    colour: 'yard',
    meaning: 'The downloaded file is being verified.',
  },
  conflict: {
    icon: IconFiles,
    label: 'Conflict',
    colour: 'orange',
    meaning: 'Another file on the machine has this path.',
  },
  blocked: {
    icon: IconBan,
    label: 'Blocked',
    colour: 'orange',
    meaning: 'Something on the machine prevents the download.',
  },
  evicted: {
    icon: IconArchive,
    label: 'Evicted',
    colour: 'gray',
    meaning: 'Not on the machine because of its disk budget. Send it to the machine to get it.',
  },
  failed: {
    icon: IconCircleX,
    label: 'Failed',
    colour: 'red',
    meaning: 'It failed and is retried automatically.',
  },
}

/** Ready, but not loaded by ComfyUI; the replica's reason says why. */
const NOT_LOADED_MARK: Mark = {
  icon: IconAlertTriangle,
  label: 'Ready, not loaded',
  colour: 'yellow',
  meaning: 'The model is on the machine, but ComfyUI does not load it.',
}

export function MachineMark({ mark }: { mark: 'busy' | 'paused' }) {
  return <LabelledMark mark={MACHINE_MARKS[mark]} />
}

export function StateMark({ model }: { model: Pick<AgentModel, 'state' | 'reason'> }) {
  return <LabelledMark mark={getStateMark(model)} />
}

function getStateMark(model: Pick<AgentModel, 'state' | 'reason'>): Mark {
  return model.state === 'ready' && !isLoaded(model) ? NOT_LOADED_MARK : STATE_MARKS[model.state]
}

/** Return a colour that is readable on light and dark backgrounds. */
export function getTextColour(colour: string): string {
  return colour === 'gray' ? 'var(--mantine-color-dimmed)' : `var(--mantine-color-${colour}-text)`
}

export function LabelledMark({ mark }: { mark: Mark }) {
  return (
    <Tooltip label={mark.meaning}>
      <Group gap={4} wrap="nowrap" component="span" style={{ flexShrink: 0, overflowWrap: 'normal' }}>
        <mark.icon size={16} color={getTextColour(mark.colour)} aria-hidden />
        <Text span size="sm">
          {mark.label}
        </Text>
      </Group>
    </Tooltip>
  )
}
