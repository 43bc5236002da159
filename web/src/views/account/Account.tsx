import { Heading } from '@/parts/Heading'

export function Account() {
  return <Heading title="Account" />
}
