// How a machine is, and how far a model on it is: an icon of its own shape for each, and always the word.

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

interface Mark {
  icon: TablerIcon
  word: string
  colour: string
  meaning: string
}

export const STATUS: Record<Agent['agent_status'] | 'paused', Mark> = {
  idle: { icon: IconMoon, word: 'Idle', colour: 'gray', meaning: 'It has nothing to do.' },
  busy: { icon: IconBrush, word: 'Busy', colour: 'violet', meaning: 'Its ComfyUI renders.' },
  syncing: { icon: IconRefresh, word: 'Syncing', colour: 'cyan', meaning: 'Models come or go.' },
  unhealthy: {
    icon: IconHeartBroken,
    word: 'Unhealthy',
    colour: 'red',
    meaning: 'It has not been heard of for 90 seconds.',
  },
  paused: {
    icon: IconPlayerPause,
    word: 'Paused',
    colour: 'orange',
    meaning: 'It was told to fetch and remove nothing for now.',
  },
}

export const STATE: Record<AgentModel['state'], Mark> = {
  ready: { icon: IconCheck, word: 'Ready', colour: 'green', meaning: 'It is there, and ComfyUI loads it.' },
  wanted: { icon: IconClock, word: 'Wanted', colour: 'gray', meaning: 'It will come.' },
  downloading: { icon: IconDownload, word: 'Downloading', colour: 'cyan', meaning: 'It is being fetched.' },
  verifying: { icon: IconShieldSearch, word: 'Verifying', colour: 'cyan', meaning: 'Its bytes are being checked.' },
  conflict: {
    icon: IconFiles,
    word: 'Conflict',
    colour: 'orange',
    meaning: 'Another file on the machine has its name.',
  },
  blocked: { icon: IconBan, word: 'Blocked', colour: 'orange', meaning: 'Something on the machine is in the way.' },
  failed: {
    icon: IconCircleX,
    word: 'Failed',
    colour: 'red',
    meaning: 'It did not work, and is tried again by itself.',
  },
}

/** Ready, but ComfyUI does not load it: the reason says why. */
export const NOT_LOADED: Mark = {
  icon: IconAlertTriangle,
  word: 'Ready, with a remark',
  colour: 'yellow',
  meaning: 'It is there, but ComfyUI does not load it.',
}

export function StatusMark({ status }: { status: Agent['agent_status'] | 'paused' }) {
  return <InWords mark={STATUS[status]} />
}

export function StateMark({ model }: { model: Pick<AgentModel, 'state' | 'reason'> }) {
  return <InWords mark={markOf(model)} />
}

export function markOf({ state, reason }: Pick<AgentModel, 'state' | 'reason'>): Mark {
  return state === 'ready' && reason ? NOT_LOADED : STATE[state]
}

/** A colour that can be read on the page's ground, light and dark. */
export function readable(colour: string): string {
  return colour === 'gray' ? 'var(--mantine-color-dimmed)' : `var(--mantine-color-${colour}-text)`
}

function InWords({ mark }: { mark: Mark }) {
  return (
    <Tooltip label={mark.meaning}>
      <Group gap={4} wrap="nowrap" component="span" style={{ flexShrink: 0 }}>
        <mark.icon size={16} color={readable(mark.colour)} aria-hidden />
        <Text span size="sm">
          {mark.word}
        </Text>
      </Group>
    </Tooltip>
  )
}
