import { Text } from '@mantine/core'
import { Heading } from '@/parts/Heading'
import { AnchorLink } from '@/parts/links'

export function NoTeam() {
  return (
    <>
      <Heading title="You are in no team" />
      <Text>
        Ask somebody who is for an invitation, or make a team of your own in{' '}
        <AnchorLink to="/account" underline="always">
          your account
        </AnchorLink>
        .
      </Text>
    </>
  )
}
