// What happens to a file on its way into the registry, in one line, with its progress.

import { Progress, Text } from '@mantine/core'
import { formatBytes, formatDuration, formatRate } from '@/components/format'
import type { Item } from '@/features/upload/engine/items'
import classes from '@/features/upload/recent/recent.module.css'

export function TransferState({ one }: { one: Item }) {
  const isWrong = one.stage === 'failed' || one.stage === 'conflict'
  return (
    <div className={classes.state}>
      <Text size="sm" c={isWrong ? 'var(--mantine-color-error)' : 'dimmed'} className={classes.facts}>
        {describeStatus(one)}
      </Text>
      {['working', 'paused', 'waiting'].includes(one.stage) && (
        <Progress
          // An animated bar costs more rendering time than the rest of the page.
          transitionDuration={0}
          size="sm"
          value={(100 * getProgress(one)) / one.file.size}
          color={one.stage === 'paused' ? 'gray' : 'yard'}
          aria-label={`Progress of ${one.file.name}`}
        />
      )}
    </div>
  )
}

function describeStatus(one: Item): string {
  if (one.stage === 'failed' && one.problem) return `${one.problem.title}. ${one.problem.message}`
  if (one.stage === 'conflict') return describeConflict(one)
  if (one.stage === 'verifying') return 'Stored. The registry verifies the file before anyone can download it…'
  if (one.stage === 'done') return describeStored(one)
  if (one.stage === 'paused') return `Paused at ${formatBytes(one.sent)} of ${formatBytes(one.file.size)}`
  if (one.note) return one.note
  if (one.stage === 'waiting') return `Queued: ${formatBytes(one.file.size)}`
  return describeActivity(one)
}

/** Only until the model is listed, and if there are too many to list. */
function describeStored({ outcome, path }: Item): string {
  if (outcome === 'here already') return `Already in the registry at ${path}.`
  return `${outcome === 'repaired' ? 'Repaired' : 'Stored'}. Its page says on which machines it is.`
}

function describeConflict({ path, isOvertaken, newest }: Item): string {
  if (!isOvertaken) return `A different file is at ${path}.`
  if (!newest) return `Another person uploaded a new version of ${path} meanwhile.`
  return `${newest.created_by.display_name} uploaded version ${newest.version} of ${path} meanwhile.`
}

function describeActivity(one: Item): string {
  const far = `${formatBytes(getProgress(one))} of ${formatBytes(one.file.size)}`
  const left =
    one.rate > 0
      ? `, ${formatRate(one.rate)}, ${formatDuration((one.file.size - getProgress(one)) / one.rate)} left`
      : ''
  switch (one.activity) {
    case 'comparing':
      return `Hashing the ${one.folder ? 'files' : 'file'}, because the registry may already have ${one.folder ? 'them' : 'it'}: ${far}${left}`
    case 'sending':
      return `Uploading, ${far}${left}`
    case 'reading on':
      return `Upload complete. Hashing the file: ${far}${left}`
    case 'registering':
      return 'Registering…'
    default:
      return 'Starting…'
  }
}

/** Return the progress of the current step: hashed or sent bytes. */
function getProgress({ activity: does, hashed, sent }: Item): number {
  return does === 'comparing' || does === 'reading on' ? hashed : sent
}
