import { Heading } from '@/parts/Heading'

export function Team() {
  return <Heading title="Team" />
}
