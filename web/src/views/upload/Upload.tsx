import { Heading } from '@/parts/Heading'

export function Upload() {
  return <Heading title="Upload" />
}
