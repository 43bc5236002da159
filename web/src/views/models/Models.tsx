import { Heading } from '@/parts/Heading'

export function Models() {
  return <Heading title="Models" />
}
