import { Heading } from '@/parts/Heading'

export function Pair() {
  return <Heading title="Pair" />
}
