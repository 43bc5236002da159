import { Anchor, Center, Stack, Text, Title } from '@mantine/core'
import { Link } from '@tanstack/react-router'

export function NotFound() {
  return (
    <Center component="main" h="100vh">
      <Stack align="center">
        <Title order={1}>Page not found</Title>
        <Text>The address may be mistyped, or the page was removed.</Text>
        <Anchor component={Link} to="/models">
          To the models
        </Anchor>
      </Stack>
    </Center>
  )
}
