import { Text } from '@mantine/core'
import { Heading } from '@/components/Heading'
import { AnchorLink } from '@/components/links'

export function NoTeam() {
  return (
    <>
      <Heading title="You are not in a team" />
      <Text>
        Ask a team admin for an invitation, or create a team in{' '}
        <AnchorLink to="/account" underline="always">
          your account
        </AnchorLink>
        .
      </Text>
    </>
  )
}
