import { Doorway } from '@/views/signin/Doorway'

export function Join() {
  return <Doorway title="Join">{null}</Doorway>
}
