import { Empty } from '@/parts/states'

export function NoTeam() {
  return <Empty title="You are in no team">Ask somebody who is for an invitation.</Empty>
}
