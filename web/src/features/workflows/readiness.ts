// Whether machines can run a workflow, in words.

import {
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconClock,
  IconSend,
  type TablerIcon,
} from '@tabler/icons-react'
import type { MachineReadiness, Readiness } from '@/api/types'
import { formatCount, formatDuration } from '@/components/format'

export const READINESS_MARKS: Record<Readiness, { icon: TablerIcon; colour: string }> = {
  ready: { icon: IconCircleCheckFilled, colour: 'var(--yard-ok)' },
  soon: { icon: IconClock, colour: 'var(--yard-accent-text)' },
  assignable: { icon: IconSend, colour: 'var(--mantine-color-dimmed)' },
  cannot: { icon: IconAlertTriangleFilled, colour: 'var(--yard-problem)' },
}

const READINESS_ORDER = Object.keys(READINESS_MARKS)

/** Return the machines, those that can run the workflow first. */
export function sortMachines(machines: readonly MachineReadiness[]): MachineReadiness[] {
  return machines.toSorted(
    (one, other) => READINESS_ORDER.indexOf(one.readiness) - READINESS_ORDER.indexOf(other.readiness),
  )
}

/** `Ready in about 3 min`, `Ready in about 3 min if 2 models are sent`, `Cannot: …`. */
export function describeReadiness({ readiness, seconds, reason, missing_list }: MachineReadiness): string {
  const duration = seconds ? `in about ${formatDuration(seconds)}` : 'soon'
  if (readiness === 'ready') return 'Ready'
  if (readiness === 'soon') return `Ready ${duration}`
  if (readiness === 'assignable') return `Ready ${duration} if ${countModels(missing_list.length)} sent`
  return reason ? `Cannot: ${reason}` : 'Cannot run it'
}

function countModels(count: number): string {
  return count === 1 ? '1 model is' : `${formatCount(count, 'model')} are`
}
