// The first so many of many rows, and a button for more: what is not seen costs nothing.

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
