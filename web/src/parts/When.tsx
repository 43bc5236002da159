// A time as people say it; the exact one is a hover away, and in the document for programs.

import { Tooltip } from '@mantine/core'
import { ago, dateAndTime } from '@/parts/words'

export function When({ time }: { time: string }) {
  return (
    <Tooltip label={dateAndTime(time)}>
      <time dateTime={time}>{ago(time)}</time>
    </Tooltip>
  )
}
