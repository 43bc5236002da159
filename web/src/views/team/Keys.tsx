import { Heading } from '@/parts/Heading'

export function Keys() {
  return <Heading title="Keys" />
}
