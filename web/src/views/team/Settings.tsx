import { Heading } from '@/parts/Heading'

export function Settings() {
  return <Heading title="Settings" />
}
