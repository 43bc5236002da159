// The first rows of a list and a button for more, so that long lists stay cheap to render.

import { Button, Center } from '@mantine/core'
import { type ReactNode, useState } from 'react'

const STEP = 50

export function FirstRows<Row>({ rows, children }: { rows: Row[]; children: (shown: Row[]) => ReactNode }) {
  const [limit, setLimit] = useState(STEP)
  return (
    <>
      {children(rows.slice(0, limit))}
      {rows.length > limit && (
        <Center p="sm">
          <Button variant="default" onClick={() => setLimit(limit + STEP)}>
            Show {Math.min(STEP, rows.length - limit)} more of {rows.length}
          </Button>
        </Center>
      )}
    </>
  )
}
