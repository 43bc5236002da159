// The newest imports of the team: how far they are, and the models that they became.

import { Button, Title } from '@mantine/core'
import { useDidUpdate } from '@mantine/hooks'
import { useState } from 'react'
import { queryClient } from '@/api/queryClient'
import { formatCount } from '@/components/format'
import { LoadError } from '@/components/placeholders'
import { ImportRow } from '@/features/imports/ImportRow'
import { useImports } from '@/features/imports/queries'
import classes from '@/features/upload/recent/recent.module.css'

const ROWS_AT_FIRST = 10

export function RecentImports() {
  const [isOpen, setOpen] = useState(false)
  const { data = [], error, isPlaceholderData, refetch } = useImports()
  const done = data.filter(({ import_state }) => import_state === 'done').length
  // The models are also among the recent uploads, with their way to the machines.
  useDidUpdate(() => void queryClient.invalidateQueries({ queryKey: ['models'] }), [done])
  if (error && !isPlaceholderData && data.length === 0)
    return <LoadError error={error} onRetry={() => void refetch()} />
  if (data.length === 0) return null
  const shown = isOpen ? data : data.slice(0, ROWS_AT_FIRST)
  return (
    <section className={classes.box} aria-labelledby="imports">
      <div className={classes.head}>
        <Title order={2} size="h2" id="imports">
          Imports
        </Title>
      </div>
      <ul className={classes.list}>
        {shown.map((one) => (
          <ImportRow key={one.id} one={one} />
        ))}
      </ul>
      {data.length > shown.length && (
        <Button variant="subtle" m="xs" onClick={() => setOpen(true)}>
          Show all {formatCount(data.length, 'import')}
        </Button>
      )}
    </section>
  )
}
