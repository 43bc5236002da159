// Disk usage of a machine: of its disk budget if set, otherwise of the disk that stores the models.

import { Progress, Stack, Text } from '@mantine/core'
import type { Agent } from '@/api/types'
import { formatBytes } from '@/components/format'

export function DiskUsage({ agent }: { agent: Agent }) {
  const { disk_free: free, disk_budget: budget, bytes_held: bytesHeld } = agent
  const total = budget ?? (free === null ? null : bytesHeld + free)
  const words = [
    budget !== null &&
      (bytesHeld > 0 ? `${formatBytes(bytesHeld)} of ${formatBytes(budget)}` : `${formatBytes(budget)} budget`),
    free !== null && `${formatBytes(free)} free`,
  ]
  return (
    <Stack gap={4}>
      <Text size="sm">{words.filter(Boolean).join(', ') || 'Disk unknown'}</Text>
      {total !== null && total > 0 && (
        <UsageBar
          ratio={bytesHeld / total}
          label={budget === null ? 'Disk used by models:' : 'Disk budget used by models:'}
        />
      )}
    </Stack>
  )
}

const NEARLY_FULL = 0.8
const FULL = 0.95

/** A usage bar: orange from 80 %, red from 95 %. */
export function UsageBar({ ratio, label }: { ratio: number; label: string }) {
  const percent = Math.min(100, Math.round(ratio * 100))
  return <Progress value={percent} size="sm" color={getColour(ratio)} aria-label={`${label} ${percent} %`} />
}

export function isNearlyFull(ratio: number): boolean {
  return ratio >= NEARLY_FULL
}

export function isFull(ratio: number): boolean {
  return ratio >= FULL
}

function getColour(ratio: number): string {
  return isFull(ratio) ? 'red' : isNearlyFull(ratio) ? 'orange' : 'yard'
}
