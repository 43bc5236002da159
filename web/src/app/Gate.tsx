// Lets members in. Everybody else sees the sign-in where the view would be; the address stays what it was.

import { Button, Center, Loader, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { resume, useSession } from '@/api/session'
import { SignIn } from '@/views/signin/SignIn'

export function Gate({ children }: { children: ReactNode }) {
  const session = useSession()
  if (session.state === 'signed-out') return <SignIn />
  if (session.state === 'unreachable') return <Unreachable />
  if (session.state === 'starting') {
    return (
      <Center h="100vh">
        <Loader aria-label="Starting" />
      </Center>
    )
  }
  return children
}

function Unreachable() {
  return (
    <Center component="main" h="100vh">
      <Stack align="center">
        <Text>The registry does not answer.</Text>
        <Button onClick={() => void resume()}>Try again</Button>
      </Stack>
    </Center>
  )
}
