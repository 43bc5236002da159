import { PageLink } from '@/parts/PageLink'
import { Empty } from '@/parts/states'

export function NoTeam() {
  return (
    <Empty title="You are in no team">
      Ask somebody who is for an invitation, or make a team of your own in{' '}
      <PageLink to="/account">your account</PageLink>.
    </Empty>
  )
}
