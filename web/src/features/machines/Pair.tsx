// The page that a machine's pairing link opens; the link contains the code.

import { Paper } from '@mantine/core'
import { useSearch } from '@tanstack/react-router'
import { Heading } from '@/components/Heading'
import { PairForm } from '@/features/machines/PairForm'

export function Pair() {
  const { code } = useSearch({ from: '/inside/pair' })
  return (
    <>
      <Heading title="Pair a machine" />
      <Paper withBorder p="lg" maw={520}>
        <PairForm key={code} {...(code !== undefined && { code })} />
      </Paper>
    </>
  )
}
