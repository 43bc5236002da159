// What is on its way and what became of it, in all and file by file.

import { Button, Group, Progress, Stack, Text, Title } from '@mantine/core'
import { bytes, count, duration, rate } from '@/parts/words'
import { clearDone, goOn, pause } from '@/uploading/engine'
import { type Item, isGoing } from '@/uploading/state'
import { totalOf } from '@/uploading/totals'
import { TransferRow } from '@/views/upload/TransferRow'
import classes from '@/views/upload/upload.module.css'

const ROWS_AT_ONCE = 200
// What wants an answer is seen first, then what moves.
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
        <Overall items={items} />
        <ul className={classes.list}>
          {sorted.slice(0, ROWS_AT_ONCE).map((one) => (
            <TransferRow key={one.id} one={one} />
          ))}
        </ul>
        {sorted.length > ROWS_AT_ONCE && <Text c="dimmed">and {count(sorted.length - ROWS_AT_ONCE, 'more file')}</Text>}
      </Stack>
    </section>
  )
}

function Controls({ items }: { items: readonly Item[] }) {
  const going = items.filter(isGoing)
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
        <Button {...small} onClick={() => goOn(ids(paused))}>
          Go on with all
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

function Overall({ items }: { items: readonly Item[] }) {
  const total = totalOf(items)
  if (total.count < 2 || total.done === total.count) return null
  const left = total.rate > 0 ? `, ${duration((total.size - total.sent) / total.rate)} left` : ''
  return (
    <div>
      <Progress value={total.percent} transitionDuration={0} size="lg" aria-label="All uploads" />
      <Text size="sm" c="dimmed" mt={4} className={classes.facts}>
        {`${total.done} of ${count(total.count, 'file')}, ${bytes(total.sent)} of ${bytes(total.size)}`}
        {total.rate > 0 && `, ${rate(total.rate)}${left}`}
      </Text>
    </div>
  )
}
