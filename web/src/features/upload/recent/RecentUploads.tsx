// The uploads of the last 24 hours: each has one row, with its progress until it is stored, then with its way to the machines.

import { Button, Group, Progress, Text, Title } from '@mantine/core'
import { useState } from 'react'
import { formatBytes, formatCount, formatDuration, formatRate } from '@/components/format'
import type { Owner } from '@/features/upload/engine/draft'
import { type Item, isActive } from '@/features/upload/engine/items'
import { pause, resume } from '@/features/upload/engine/queue'
import { sumProgress, type UploadTotals } from '@/features/upload/engine/uploadTotals'
import { mergeRows, type UploadRow } from '@/features/upload/recent/mergeRows'
import { RecentRow } from '@/features/upload/recent/RecentRow'
import classes from '@/features/upload/recent/recent.module.css'
import { useDeliveries } from '@/features/upload/recent/useDeliveries'

const ROWS_AT_ONCE = 100

export function RecentUploads({ whose, items }: { whose: Owner; items: readonly Item[] }) {
  const [shown, setShown] = useState(ROWS_AT_ONCE)
  const { rows: delivered, isCapped } = useDeliveries(whose, items)
  const rows = mergeRows(items, delivered)
  const total = sumProgress(items)
  const isRunning = items.some((one) => isActive(one) || one.stage === 'verifying')
  const notes = [isRunning ? '' : summary(rows), isCapped ? 'only the newest are listed' : '']
  if (rows.length === 0) return null
  return (
    <section className={classes.box} aria-labelledby="recent">
      <div className={classes.head}>
        <Title order={2} size="h2" id="recent">
          Recent uploads
        </Title>
        {isRunning && (
          <Text size="sm" c="dimmed">
            {describeTotals(total)}
          </Text>
        )}
        <Text size="sm" c="dimmed" role="status">
          {notes.filter(Boolean).join(' · ')}
        </Text>
        <Controls items={items} />
      </div>
      {isRunning && total.count > 1 && (
        <Progress value={total.percent} transitionDuration={0} radius={0} size="xs" aria-label="All uploads" />
      )}
      <ul className={classes.list}>
        {rows.slice(0, shown).map((row) => (
          <RecentRow key={row.key} row={row} />
        ))}
      </ul>
      {rows.length > shown && (
        <Button variant="subtle" m="xs" onClick={() => setShown(shown + ROWS_AT_ONCE)}>
          Show more of {formatCount(rows.length, 'upload')}
        </Button>
      )}
    </section>
  )
}

function Controls({ items }: { items: readonly Item[] }) {
  const going = items.filter(isActive)
  const paused = items.filter(({ stage }) => stage === 'paused')
  const ids = (some: readonly Item[]) => some.map(({ id }) => id)
  const small = { variant: 'default', size: 'compact-sm' } as const
  return (
    <Group gap="xs" ml="auto">
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
    </Group>
  )
}

/** `2 of 6 files, 742 MB of 965 MB, 21 MB/s, 9 s left`. */
function describeTotals({ done, count, size, sent, rate }: UploadTotals): string {
  const speed = rate > 0 ? `, ${formatRate(rate)}, ${formatDuration((size - sent) / rate)} left` : ''
  return `${done} of ${formatCount(count, 'file')}, ${formatBytes(sent)} of ${formatBytes(size)}${speed}`
}

/** `3 of 12 models on all their machines`. */
function summary(rows: UploadRow[]): string {
  const models = rows.flatMap(({ delivered }) => delivered ?? [])
  const done = models.filter(({ delivery }) => delivery.kind === 'done').length
  return models.length > 0 ? `${done} of ${formatCount(models.length, 'model')} on all their machines` : ''
}
