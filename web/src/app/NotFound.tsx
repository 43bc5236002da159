import { Anchor, Center, Stack, Text, Title } from '@mantine/core'
import { Link } from '@tanstack/react-router'

export function NotFound() {
  return (
    <Center component="main" h="100vh">
      <Stack align="center">
        <Title order={1}>There is nothing at this address</Title>
        <Text>It may have been typed wrong, or what was here is gone.</Text>
        <Anchor component={Link} to="/models">
          To the models
        </Anchor>
      </Stack>
    </Center>
  )
}
