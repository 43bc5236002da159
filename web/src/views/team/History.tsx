import { Heading } from '@/parts/Heading'

export function History() {
  return <Heading title="History" />
}
