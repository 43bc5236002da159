// The state of a roll-out and of its machines, as icon and words.

import { IconCheck, IconCircleDashed, IconCircleX, IconClock, IconPlayerPause } from '@tabler/icons-react'
import type { Rollout, RolloutMachine } from '@/api/types'
import type { Mark } from '@/components/statusMarks'

export const MACHINE_MARKS: Record<RolloutMachine['state'], Mark> = {
  ready: { icon: IconCheck, label: 'Ready', colour: 'green', meaning: 'It has all models, and ComfyUI loads them.' },
  waiting: { icon: IconClock, label: 'Waiting', colour: 'gray', meaning: 'It is getting the models.' },
  failed: { icon: IconCircleX, label: 'Failed', colour: 'red', meaning: 'Someone has to do something there.' },
  offline: { icon: IconCircleDashed, label: 'Offline', colour: 'gray', meaning: 'It sends no heartbeats.' },
  held: { icon: IconPlayerPause, label: 'Held', colour: 'gray', meaning: 'It stays at the version before.' },
}

/** What happens in each state, as a sentence. */
export const STATE_TEXTS: Record<Rollout['state'], string> = {
  canary: 'Machines with the canary label get the version. The others stay at the one before.',
  waiting_for_approval: 'The canaries are ready, or offline. Approve the roll-out to send the version to all machines.',
  rolling_out: 'All subscribed machines get the version.',
  finished: 'All subscribed machines have the version.',
  failed: 'A canary failed. Machines stay as they are until you roll back, or start again.',
  stopped: 'It was stopped. Machines keep the version that they got.',
  rolled_back: 'All subscribed machines got the version before.',
  replaced: 'Another roll-out was started.',
}

export const STATE_TITLES: Record<Rollout['state'], string> = {
  canary: 'On canaries',
  waiting_for_approval: 'Waiting for approval',
  rolling_out: 'On all machines',
  finished: 'Finished',
  failed: 'Failed',
  stopped: 'Stopped',
  rolled_back: 'Rolled back',
  replaced: 'Replaced',
}

export function getColour(state: Rollout['state']): string {
  if (state === 'failed') return 'red'
  if (state === 'finished') return 'green'
  return state === 'waiting_for_approval' || state === 'stopped' ? 'yellow' : 'blue'
}
