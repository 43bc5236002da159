import { Text } from '@mantine/core'
import { Heading } from '@/parts/Heading'
import { PageLink } from '@/parts/PageLink'

export function NoTeam() {
  return (
    <>
      <Heading title="You are in no team" />
      <Text>
        Ask somebody who is for an invitation, or make a team of your own in{' '}
        <PageLink to="/account" underline="always">
          your account
        </PageLink>
        .
      </Text>
    </>
  )
}
