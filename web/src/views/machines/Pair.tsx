// The address that a machine prints while it waits to be let in: its code comes with the link.

import { Paper } from '@mantine/core'
import { useSearch } from '@tanstack/react-router'
import { Heading } from '@/parts/Heading'
import { PairForm } from '@/views/machines/PairForm'

export function Pair() {
  const { code } = useSearch({ from: '/inside/pair' })
  return (
    <>
      <Heading title="Let a machine in" />
      <Paper withBorder p="lg" maw={520}>
        <PairForm key={code} {...(code !== undefined && { code })} />
      </Paper>
    </>
  )
}
