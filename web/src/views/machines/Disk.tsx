// How full a machine is: of its budget if it has one, else of the disk on which models lie.

import { Progress, Stack, Text } from '@mantine/core'
import type { Agent } from '@/api/types'
import { bytes } from '@/parts/words'

export function Disk({ agent }: { agent: Agent }) {
  const { disk_free: free, disk_budget: budget, bytes_held: held } = agent
  const whole = budget ?? (free === null ? null : held + free)
  const words = [budget !== null && `${bytes(held)} of ${bytes(budget)}`, free !== null && `${bytes(free)} free`]
  return (
    <Stack gap={4}>
      <Text size="sm">{words.filter(Boolean).join(', ') || 'Disk unknown'}</Text>
      {whole !== null && whole > 0 && (
        <Fill part={held / whole} label={budget === null ? 'Of its disk, models take' : 'Of its budget, models take'} />
      )}
    </Stack>
  )
}

const NEARLY = 0.8
const FULL = 0.95

/** How full something is; orange from 80 %, red from 95 %. */
export function Fill({ part, label }: { part: number; label: string }) {
  const percent = Math.min(100, Math.round(part * 100))
  return <Progress value={percent} size="sm" color={colourOf(part)} aria-label={`${label} ${percent} %`} />
}

export function isNearlyFull(part: number): boolean {
  return part >= NEARLY
}

export function isFull(part: number): boolean {
  return part >= FULL
}

function colourOf(part: number): string {
  return isFull(part) ? 'red' : isNearlyFull(part) ? 'orange' : 'cyan'
}
