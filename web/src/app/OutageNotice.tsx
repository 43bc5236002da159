// Says that the registry does not answer, and when it is asked again.

import { UnstyledButton } from '@mantine/core'
import { useEffect, useState } from 'react'
import { retryNow, useOutage } from '@/api/outage'
import classes from '@/app/shell.module.css'

const SECOND = 1_000

export function OutageNotice() {
  const outage = useOutage()
  // Always there: what appears in an element that exists is announced.
  return (
    <div role="status" aria-label="Connection">
      {outage?.isConfirmed && (
        <div className={classes.outage} data-outage>
          <span>
            The registry does not answer. What is shown may be out of date.
            <Countdown until={outage.retryAt} />
          </span>
          <UnstyledButton className={classes.retry} onClick={retryNow}>
            Retry now
          </UnstyledButton>
        </div>
      )}
    </div>
  )
}

/** Not announced: it changes every second. */
function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const clock = setInterval(() => setNow(Date.now()), SECOND)
    return () => clearInterval(clock)
  }, [])
  const seconds = Math.max(0, Math.ceil((until - now) / SECOND))
  return <span aria-hidden>{seconds > 0 ? ` Trying again in ${seconds} s.` : ' Trying again…'}</span>
}
