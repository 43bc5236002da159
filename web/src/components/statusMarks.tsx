// Marks for machine status and replica state: each has its own icon shape and always a label.

import { Group, Text, Tooltip } from '@mantine/core'
import {
  IconAlertTriangle,
  IconBan,
  IconBrush,
  IconCheck,
  IconCircleX,
  IconClock,
  IconDownload,
  IconFiles,
  IconHeartBroken,
  IconMoon,
  IconPlayerPause,
  IconRefresh,
  IconShieldSearch,
  type TablerIcon,
} from '@tabler/icons-react'
import type { Agent, AgentModel } from '@/api/types'
import { UNHEALTHY_SECONDS } from '@/generated/durations'

interface Mark {
  icon: TablerIcon
  label: string
  colour: string
  meaning: string
}

export const STATUS_MARKS: Record<Agent['agent_status'] | 'paused', Mark> = {
  idle: { icon: IconMoon, label: 'Idle', colour: 'gray', meaning: 'It has nothing to do.' },
  busy: { icon: IconBrush, label: 'Busy', colour: 'violet', meaning: 'ComfyUI is rendering.' },
  syncing: { icon: IconRefresh, label: 'Syncing', colour: 'cyan', meaning: 'Models are being downloaded or removed.' },
  unhealthy: {
    icon: IconHeartBroken,
    label: 'Unhealthy',
    colour: 'red',
    meaning: `No heartbeat for ${UNHEALTHY_SECONDS} seconds.`,
  },
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
  downloading: { icon: IconDownload, label: 'Downloading', colour: 'cyan', meaning: 'The model is being downloaded.' },
  verifying: {
    icon: IconShieldSearch,
    label: 'Verifying',
    colour: 'cyan',
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
  failed: {
    icon: IconCircleX,
    label: 'Failed',
    colour: 'red',
    meaning: 'It failed and is retried automatically.',
  },
}

/** Ready, but not loaded by ComfyUI; the replica's reason says why. */
export const NOT_LOADED_MARK: Mark = {
  icon: IconAlertTriangle,
  label: 'Ready, not loaded',
  colour: 'yellow',
  meaning: 'The model is on the machine, but ComfyUI does not load it.',
}

export function StatusMark({ status }: { status: Agent['agent_status'] | 'paused' }) {
  return <LabelledMark mark={STATUS_MARKS[status]} />
}

export function StateMark({ model }: { model: Pick<AgentModel, 'state' | 'reason'> }) {
  return <LabelledMark mark={getStateMark(model)} />
}

export function getStateMark({ state, reason }: Pick<AgentModel, 'state' | 'reason'>): Mark {
  return state === 'ready' && reason ? NOT_LOADED_MARK : STATE_MARKS[state]
}

/** Return a colour that is readable on light and dark backgrounds. */
export function getTextColour(colour: string): string {
  return colour === 'gray' ? 'var(--mantine-color-dimmed)' : `var(--mantine-color-${colour}-text)`
}

function LabelledMark({ mark }: { mark: Mark }) {
  return (
    <Tooltip label={mark.meaning}>
      <Group gap={4} wrap="nowrap" component="span" style={{ flexShrink: 0 }}>
        <mark.icon size={16} color={getTextColour(mark.colour)} aria-hidden />
        <Text span size="sm">
          {mark.label}
        </Text>
      </Group>
    </Tooltip>
  )
}
