// Running and finished uploads, in total and per file.

import { Button, Group, Progress, Stack, Text, Title } from '@mantine/core'
import { formatBytes, formatCount, formatDuration, formatRate } from '@/components/format'
import { type Item, isActive } from '@/features/upload/engine/items'
import { clearDone, pause, resume } from '@/features/upload/engine/queue'
import { sumProgress } from '@/features/upload/engine/uploadTotals'
import { TransferRow } from '@/features/upload/TransferRow'
import classes from '@/features/upload/upload.module.css'

const ROWS_AT_ONCE = 200
// Uploads that need attention come first, then active ones.
const ORDER: Item['stage'][] = ['conflict', 'failed', 'working', 'paused', 'waiting', 'verifying', 'done']

export function Transfers({ items }: { items: readonly Item[] }) {
  const sorted = items.toSorted((a, b) => ORDER.indexOf(a.stage) - ORDER.indexOf(b.stage))
  return (
    <section aria-labelledby="transfers">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h3" id="transfers">
            Uploads
          </Title>
          <Controls items={items} />
        </Group>
        <TotalProgress items={items} />
        <ul className={classes.list}>
          {sorted.slice(0, ROWS_AT_ONCE).map((one) => (
            <TransferRow key={one.id} one={one} />
          ))}
        </ul>
        {sorted.length > ROWS_AT_ONCE && (
          <Text c="dimmed">and {formatCount(sorted.length - ROWS_AT_ONCE, 'more file')}</Text>
        )}
      </Stack>
    </section>
  )
}

function Controls({ items }: { items: readonly Item[] }) {
  const going = items.filter(isActive)
  const paused = items.filter(({ stage }) => stage === 'paused')
  const ids = (some: readonly Item[]) => some.map(({ id }) => id)
  const small = { variant: 'default', size: 'compact-sm' } as const
  return (
    <Group gap="xs">
      {going.length > 1 && (
        <Button {...small} onClick={() => pause(ids(going))}>
          Pause all
        </Button>
      )}
      {paused.length > 1 && (
        <Button {...small} onClick={() => resume(ids(paused))}>
          Resume all
        </Button>
      )}
      {items.some(({ stage }) => stage === 'done') && (
        <Button {...small} onClick={clearDone}>
          Clear finished
        </Button>
      )}
    </Group>
  )
}

function TotalProgress({ items }: { items: readonly Item[] }) {
  const total = sumProgress(items)
  if (total.count < 2 || total.done === total.count) return null
  const left = total.rate > 0 ? `, ${formatDuration((total.size - total.sent) / total.rate)} left` : ''
  return (
    <div>
      <Progress value={total.percent} transitionDuration={0} size="lg" aria-label="All uploads" />
      <Text size="sm" c="dimmed" mt={4} className={classes.facts}>
        {`${total.done} of ${formatCount(total.count, 'file')}, ${formatBytes(total.sent)} of ${formatBytes(total.size)}`}
        {total.rate > 0 && `, ${formatRate(total.rate)}${left}`}
      </Text>
    </div>
  )
}
