import { Heading } from '@/parts/Heading'

export function Machines() {
  return <Heading title="Machines" />
}
